/**
 * What PM2 runs: four copies of the web app behind one port, and the algorithm service beside them.
 *
 * `pm2 start ecosystem.config.cjs`, `pm2 reload web`, `pm2 kill`. The cache needs nothing here but its name: no code in
 * the cluster primary, which is PM2's own.
 */
const { PORT = '3000', SERVICE_PORT = '3001', CACHE_NAME = 'pm2-app' } = process.env

module.exports = {
  apps: [
    {
      name: 'web',
      script: './server.js',
      cwd: __dirname,
      exec_mode: 'cluster',
      instances: 4,
      // A reload replaces a worker only when its successor has said that it listens.
      wait_ready: true,
      listen_timeout: 10_000,
      // Longer than the longest wait for a job: a worker that is told to leave answers its clients first.
      kill_timeout: 12_000,
      env: { PORT, SERVICE_PORT, CACHE_NAME },
    },
    {
      name: 'algorithm-service',
      script: './service.js',
      cwd: __dirname,
      exec_mode: 'fork',
      wait_ready: true,
      listen_timeout: 10_000,
      env: { SERVICE_PORT },
    },
  ],
}
