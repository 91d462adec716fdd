/**
 * Counts tests for `npm test`, whose last line is `N passed, N failed`. Nothing is left out silently: a file that does
 * not load, a suite whose hook fails, an error outside any test, and a skipped or planned test each count as failed.
 * Tests that the caller left out himself with `-t` count as nothing.
 *
 * The line goes to the file named by POSTERN_COUNT_FILE (scripts/test prints it last), else to the standard output.
 */
import { writeFileSync, writeSync } from 'node:fs';
import type { Reporter, SerializedError, TestCase, TestModule, TestSuite, Vitest } from 'vitest/node';

export default class CountReporter implements Reporter {
  #passed = 0;
  #failed = 0;
  #filtered = false;

  onInit(vitest: Vitest): void {
    this.#filtered = vitest.config.testNamePattern !== undefined;
    process.once('exit', () => this.#finish());
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    this.#passed = 0;
    this.#failed = unhandled.length;
    for (const module of modules) {
      if (module.errors().length > 0) this.#fail('did not load', module.moduleId);
      for (const suite of module.children.allSuites()) this.#countSuite(suite);
      for (const test of module.children.allTests()) this.#countTest(test);
    }
    if (this.#passed === 0 && this.#failed === 0) this.#fail('no test ran', 'nothing matched');
  }

  #countSuite(suite: TestSuite): void {
    if (suite.errors().length > 0) this.#fail('suite failed', suite.fullName);
  }

  #countTest(test: TestCase): void {
    const state = test.result().state;
    if (state === 'passed') this.#passed += 1;
    else if (state === 'failed') this.#failed += 1;
    else if (!(state === 'skipped' && this.#filtered)) {
      this.#fail(
        state === 'skipped' ? 'skipped' : 'did not finish',
        `${test.module.moduleId} > ${test.fullName}`,
      );
    }
  }

  #fail(why: string, what: string): void {
    this.#failed += 1;
    writeSync(1, `counted as failed: ${why}: ${what}\n`);
  }

  #finish(): void {
    if (this.#passed === 0 && this.#failed === 0) this.#failed = 1;
    if (this.#failed > 0 && (process.exitCode ?? 0) === 0) process.exitCode = 1;
    const line = `${this.#passed} passed, ${this.#failed} failed\n`;
    const file = process.env['POSTERN_COUNT_FILE'];
    if (file === undefined) writeSync(1, line);
    else writeFileSync(file, line);
  }
}
