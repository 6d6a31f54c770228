/** The first import of each entry for servers, so that an old Node is refused in one sentence. */

/** Why this package cannot run in a version of Node such as `'18.20.8'`; null if it can. */
export function unsupportedNode(version: string): string | null {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major >= 22 || (major === 20 && minor >= 19)) return null;
  return `managed-sessions needs Node 20.19 or later, and not Node 21, but this is Node ${version}.`;
}

const problem = unsupportedNode(process.versions.node);
if (problem !== null) throw new Error(problem);
