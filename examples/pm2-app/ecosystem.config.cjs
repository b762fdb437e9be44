/**
 * The processes of PM2: four copies of the web app behind one port, and the algorithm service.
 *
 * `pm2 start ecosystem.config.cjs`, `pm2 reload web`, `pm2 kill`. The cache needs only its name here, and no code in
 * the cluster primary, which belongs to PM2.
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
      // A reload stops a worker only after its successor has reported that it listens.
      wait_ready: true,
      listen_timeout: 10_000,
      // Longer than the maximum wait for a job: a worker answers its clients before it exits.
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
