/** Two sessions of one person: what each request is answered, before and after they end. Rejects if an answer differs. */
async function story() {
  const closing = [async () => disconnect(), () => sessions.close()];
  try {
    await tell(closing);
  } finally {
    for (const close of closing) await close();
  }
}

async function tell(closing = [async () => {}]) {
  const server = createServer(await listener()).listen(0, '127.0.0.1');
  closing.push(async () => void server.close());
  await once(server, 'listening');
  const { port } = Object(server.address());

  async function ask(method = '', path = '', token = '') {
    const authorization = token === '' ? {} : { authorization: 'Bearer ' + token };
    const headers = { accept: 'application/json', ...authorization };
    const [response] = await once(request({ host: '127.0.0.1', port, method, path, headers }).end(), 'response');
    let text = '';
    for await (const part of response) text += part;
    const body = text === '' ? {} : JSON.parse(text);
    return { status: Number(response.statusCode), body };
  }

  const [phone, laptop] = [issue('phone'), issue('laptop')];
  const anonymous = await ask('GET', '/');
  const user = await ask('GET', '/', phone);
  const otherUser = await ask('GET', '/', laptop);
  const list = await ask('GET', '/account/sessions', laptop);
  const current = await ask('GET', '/account/sessions/current', phone);
  await sessions.revoke('ada', String(current.body.handle));
  const ended = await ask('GET', '/', phone);
  const stillLive = await ask('GET', '/', laptop);
  const signedOut = await ask('DELETE', '/account/sessions/current', laptop);
  const endedToo = await ask('GET', '/', laptop);
  const refusal = await sessions.verify(laptop).catch((error) => error);
  const claims = parseLoginToken(phone);
  const clock = createTestClock();
  const provider = await createTestIssuer({ clock });
  closing.push(() => provider.close());
  const keys = managedSessions({ issuer: { issuer: provider.issuer, jwksUri: provider.jwksUri }, clock });
  closing.push(() => keys.close());
  const agent = new Map([['', '']]);
  const token = signIn(agent, { sub: 'bob' });
  const bob = await keys.verify(token);
  clock.advance('2h');
  const late = await keys.verify(token).catch((error) => error);

  const answers = {
    anonymous: [anonymous.status, anonymous.body.code],
    users: [user.status, user.body, otherUser.status, otherUser.body],
    list: [list.status, list.body.sessions.length],
    ended: [ended.status, ended.body.code],
    stillLive: stillLive.status,
    signedOut: signedOut.status,
    endedToo: endedToo.status,
    refusal: [refusal instanceof LoginError, refusal.code],
    claims: claims && [claims.sub, isExpired(claims)],
    agent: agent.get('Authorization') === 'Bearer ' + token,
    bob: [bob.user.id, late.code],
  };
  const expected = {
    anonymous: [401, 'no_token'],
    users: [200, { id: 'ada' }, 200, { id: 'ada' }],
    list: [200, 2],
    ended: [401, 'session_revoked'],
    stillLive: 200,
    signedOut: 204,
    endedToo: 401,
    refusal: [true, 'session_revoked'],
    claims: ['ada', false],
    agent: true,
    bob: ['bob', 'token_expired'],
  };
  assert.deepEqual(answers, expected);
}
