/**
 * What the story says and what it claims. A claim is checked where it is made; one that fails is printed, remembered,
 * and costs the exit code.
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
