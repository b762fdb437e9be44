/**
 * Prints the story and counts its claims. A claim that does not hold is printed and makes the exit code 1.
 */
export class Report {
  #chapter = 0
  #claims = 0
  #failed = 0

  /** The first line of a numbered chapter. */
  chapter(line) {
    console.log(`\n${++this.#chapter}. ${line}`)
  }

  line(line) {
    console.log(`   ${line}`)
  }

  /** @param {unknown} found Printed when the claim does not hold. */
  claim(holds, sentence, found) {
    this.#claims++
    if (holds) return
    this.#failed++
    console.log(`   NOT TRUE: ${sentence}${found === undefined ? '' : `; found ${JSON.stringify(found)}`}`)
  }

  get claims() {
    return this.#claims
  }

  get failed() {
    return this.#failed
  }
}
