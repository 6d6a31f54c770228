import { LoginError, managedSessions, memoryStore, type LoginErrorCode } from 'managed-sessions';

const issuer = { issuer: 'a', secret: 's' };

export async function typed(token: string): Promise<unknown> {
  const code: LoginErrorCode = new LoginError('no_token', '').code;
  // @ts-expect-error a misspelled code
  const misspelled: LoginErrorCode = 'no_tokens';
  // @ts-expect-error a misspelled option
  managedSessions({ issuer, stor: memoryStore() });
  const sessions = managedSessions({ issuer, user: (claims) => ({ id: claims['sub'], admin: true }) });
  const { user } = await sessions.verify(token);
  const admin: boolean = user.admin;
  return [code, misspelled, admin];
}
