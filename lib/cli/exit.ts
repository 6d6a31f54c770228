/** How a command ends. */

/**
 * - 0: done, and no problem was found.
 * - 1: problems were found, or it was not done.
 * - 2: the command line or the settings are wrong. Nothing was done.
 * - 3: Redis, or the issuer, cannot be reached. An ending may be in force in part: repeat it.
 * - 130: interrupted.
 */
export type ExitCode = 0 | 1 | 2 | 3 | 130;

/** The command line, a file or a variable is wrong. The message is for the person, and contains nothing secret. */
export class UsageError extends Error {}
