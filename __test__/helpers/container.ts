/**
 * Processes as in a container: with mounts, process numbers and System V IPC of their own, and one folder that several
 * containers share. This is what Docker and Kubernetes do to a process, without their images and networks.
 */
import { works } from './system.ts'

export interface ContainerOptions {
  /** The folder that containers share, for instance a tmpfs of the test. */
  readonly volume: string
  /** Where the container has it. It must exist. */
  readonly at: string
  /** The user and its groups. Default: root. */
  readonly user?: { readonly uid: number; readonly groups?: readonly number[] }
  /** Whether everything but the volume is read-only. Default: false. */
  readonly readOnly?: boolean
}

const NAMESPACES = ['unshare', '--mount', '--pid', '--ipc', '--fork', '--kill-child', '--mount-proc']

/** Whether this machine lets a test make containers. */
export const canContain: boolean = works(...(NAMESPACES as [string, ...string[]]), 'mount', '--make-rprivate', '/')

/** The command that runs a program in a new container, for `fork` and for command lines. */
export function inContainer({ volume, at, user, readOnly = false }: ContainerOptions): { wrapper: readonly string[] } {
  const steps = [
    'set -e',
    'mount --make-rprivate /',
    `mount --bind '${volume}' '${at}'`,
    ...(readOnly ? ['mount -o remount,bind,ro /'] : []),
    'exec "$@"',
  ]
  const groups = user?.groups === undefined ? ['--clear-groups'] : ['--groups', user.groups.join(',')]
  // The signal that ends the container with its test would not outlive the change of the user.
  const setpriv = ['setpriv', '--pdeathsig', 'keep', '--reuid', `${user?.uid}`, '--regid', `${user?.uid}`, ...groups]
  const become = user === undefined ? [] : setpriv
  return { wrapper: [...NAMESPACES, 'sh', '-c', steps.join('\n'), 'sh', ...become] }
}
