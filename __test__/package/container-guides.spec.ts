/**
 * The YAML of the guides is valid, and its containers have what the text says.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { parseAllDocuments } from 'yaml'
import { parseBytes } from '../../lib/arguments/units.ts'
import { root } from '../helpers/internals.ts'

const folder = join(root, 'docs/guides')

interface Mount {
  readonly name: string
  readonly mountPath: string
}

interface Container {
  readonly image: string
  readonly securityContext?: { readonly runAsUser?: number }
  readonly volumeMounts?: readonly Mount[]
}

interface PodSpec {
  readonly containers: readonly Container[]
  readonly securityContext?: { readonly runAsUser?: number; readonly fsGroup?: number }
  readonly volumes: readonly { readonly name: string; readonly emptyDir?: { medium?: string; sizeLimit?: string } }[]
}

interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly spec: PodSpec & { readonly template?: { readonly spec: PodSpec }; volumeClaimTemplates?: readonly unknown[] }
}

interface Service {
  readonly image: string
  readonly shm_size?: string
  readonly volumes?: readonly string[]
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>
  readonly volumes?: Readonly<Record<string, { readonly driver_opts: { readonly type: string; readonly o: string } }>>
}

/** The documents in the YAML blocks of a guide. An error names the line. */
function documentsOf(t: ExecutionContext, guide: string): unknown[] {
  const text = readFileSync(join(folder, guide), 'utf8')
  return [...text.matchAll(/^```ya?ml\n([^]*?)^```$/gm)].flatMap(([, block = '']) =>
    parseAllDocuments(block, { uniqueKeys: true, strict: true }).map((document) => {
      t.deepEqual([...document.errors, ...document.warnings], [], guide)
      return document.toJS() as unknown
    }),
  )
}

for (const guide of readdirSync(folder).filter((file) =>
  /^```ya?ml$/m.test(readFileSync(join(folder, file), 'utf8')),
)) {
  test(`the YAML of ${guide} is valid`, (t) => {
    const documents = documentsOf(t, guide)
    t.true(documents.length > 0)
    for (const document of documents) t.true(typeof document === 'object' && document !== null)
  })
}

test('each manifest of Kubernetes mounts a volume in memory into all its containers', (t) => {
  const manifests = documentsOf(t, 'kubernetes.md') as Manifest[]
  t.true(manifests.length >= 4)
  for (const { apiVersion, kind, spec } of manifests) {
    t.is(apiVersion, kind === 'Pod' ? 'v1' : 'apps/v1')
    const { containers, volumes } = spec.template?.spec ?? spec
    const inMemory = volumes.filter(({ emptyDir }) => emptyDir?.medium === 'Memory')
    t.is(inMemory.length, 1)
    t.is(inMemory[0]?.emptyDir?.sizeLimit, '512Mi')
    for (const { image, volumeMounts = [] } of containers) {
      t.is(image, 'my-app')
      const mount = volumeMounts.find(({ name }) => name === inMemory[0]?.name)
      t.true(mount?.mountPath === '/dev/shm' || mount?.mountPath === '/cache')
    }
  }
})

test('containers of one pod share by one user, or by a group', (t) => {
  const manifests = documentsOf(t, 'kubernetes.md') as Manifest[]
  const shared = manifests
    .map(({ spec }) => spec.template?.spec ?? spec)
    .filter(({ containers }) => containers.length > 1)
  t.is(shared.length, 2)
  for (const { securityContext, containers } of shared) {
    const users = new Set(
      containers.map((container) => container.securityContext?.runAsUser ?? securityContext?.runAsUser),
    )
    t.false(users.has(undefined))
    t.true(users.size === 1 || securityContext?.fsGroup !== undefined)
  }
})

test('each file of Docker Compose enlarges /dev/shm, joins another one, or has a volume in memory', (t) => {
  const files = documentsOf(t, 'docker.md') as Compose[]
  t.true(files.length >= 4)
  for (const { services, volumes = {} } of files) {
    for (const [name, { image, shm_size: size, volumes: mounts = [] }] of Object.entries(services)) {
      t.is(image, 'my-app')
      const joins = (services[name] as { ipc?: string }).ipc?.startsWith('service:') === true
      const inMemory = mounts.some((mount) => volumes[mount.split(':')[0] ?? '']?.driver_opts.type === 'tmpfs')
      t.true(joins || inMemory || parseBytes(size) > 64 * 2 ** 20, name)
    }
  }
})
