/** What the demo tells while it runs. Shapes only: the command line decides how it looks. */

export interface Narrator {
  /** A new step: its title, and in one sentence what it is for; without one, the end. */
  heading(title: string, about?: string): void;
  /** A command as an administrator of `host` would type it. */
  prompt(host: string, command: string): void;
  /** What a command printed, as it was. */
  output(text: string): void;
  /** Something the demo itself did or found. */
  done(text: string): void;
  /** Plain words. */
  note(text: string): void;
  /** What is marked `✓` is right, a cell that starts with `✗` wrong. */
  table(head: readonly string[], rows: readonly (readonly string[])[]): void;
  /** Commands to be copied, each with what it does. */
  recipes(title: string, recipes: readonly (readonly [what: string, command: string])[]): void;
}
