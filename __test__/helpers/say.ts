/**
 * Reports that outlive their process: the system call itself writes them, so none is lost when the process is killed.
 */
import { writeSync } from 'node:fs'

/** Writes the text to standard output, and returns when it is written. */
export function say(text: string): void {
  for (const bytes = Buffer.from(text); ;) {
    try {
      writeSync(1, bytes)
      return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
    }
  }
}
