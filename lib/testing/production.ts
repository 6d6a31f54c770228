let hasWarned = false;

/** Nothing else would tell that an application still gets its users, its sessions or its time from the test kit. */
export function warnInProduction(call: string): void {
  if (process.env['NODE_ENV'] !== 'production' || hasWarned) return;
  hasWarned = true;
  process.emitWarning(`${call} was called with NODE_ENV=production: managed-sessions/testing is for tests only.`, {
    type: 'ManagedSessionsWarning',
    code: 'MANAGED_SESSIONS_TEST_KIT',
  });
}
