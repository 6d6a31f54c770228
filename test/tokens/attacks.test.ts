import { createSecretKey, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';
import { Socket } from 'node:net';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { LoginError, type LoginErrorCode } from '../../lib/core/errors.js';
import { staticKeys } from '../../lib/tokens/static-keys.js';
import { MAX_TOKEN_LENGTH } from '../../lib/tokens/token-form.js';
import { createVerifier, type VerifiedToken } from '../../lib/tokens/verify.js';
import { encode, forge, resigned, type Forgery } from './forge.js';

const NOW = 1_700_000_000_000;
const SOON = NOW / 1000 + 60;
const clock = { now: () => NOW };

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const neighbour = generateKeyPairSync('rsa', { modulusLength: 2048 });
const attacker = generateKeyPairSync('rsa', { modulusLength: 2048 });
const secret = createSecretKey(randomBytes(32));

const jwk = (key: KeyObject, kid: string) => ({ ...key.export({ format: 'jwk' }), kid });
const RSA = 'https://rsa.example.com/';
const EC = 'https://ec.example.com/';
const HS = 'https://hs.example.com/';
const NEIGHBOUR = 'https://neighbour.example.com/';
const STRICT = 'https://strict.example.com/';

const common = { audience: 'shop', clockTolerance: 5000 };
const verifier = createVerifier({
  issuers: [
    { ...common, issuer: RSA, keys: staticKeys({ publicKey: jwk(rsa.publicKey, 'key-1') }, 'issuer') },
    { ...common, issuer: NEIGHBOUR, keys: staticKeys({ publicKey: jwk(neighbour.publicKey, 'key-1') }, 'issuer') },
    { ...common, issuer: EC, keys: staticKeys({ publicKey: jwk(ec.publicKey, 'key-1') }, 'issuer') },
    { ...common, issuer: HS, keys: staticKeys({ secret }, 'issuer') },
    { ...common, issuer: STRICT, types: ['at+jwt', 'logout+jwt'], keys: staticKeys({ secret }, 'issuer') },
  ],
  clock,
  lifetime: () => null,
});

const claims = (iss: string) => ({ iss, sub: 'usr_1', sid: 'kss_1', aud: 'shop', iat: SOON - 120, exp: SOON });
const rs = (changes: Partial<Forgery> = {}) =>
  forge({ alg: 'RS256', key: rsa.privateKey, header: { kid: 'key-1' }, payload: claims(RSA), ...changes });
const es = (changes: Partial<Forgery> = {}) =>
  forge({ alg: 'ES256', key: ec.privateKey, header: { kid: 'key-1' }, payload: claims(EC), ...changes });
const hs = (changes: Partial<Forgery> = {}) => forge({ alg: 'HS256', key: secret, payload: claims(HS), ...changes });

/** The JSON of the claims, with more members behind or before, which objects cannot say. */
const raw = (more: string, iss = RSA) => `${JSON.stringify(claims(iss)).slice(0, -1)},${more}}`;

let connections: jest.SpyInstance;
let written: jest.SpyInstance[];
beforeEach(() => {
  connections = jest.spyOn(Socket.prototype, 'connect');
  written = [process.stdout, process.stderr].map((stream) => jest.spyOn(stream, 'write').mockReturnValue(true));
});
afterEach(() => {
  jest.restoreAllMocks();
});

function verified(token: string): LoginError | VerifiedToken {
  try {
    const result = verifier.verify(token);
    if (result instanceof Promise) throw new Error('These keys are at hand');
    return result;
  } catch (error) {
    if (error instanceof LoginError) return error;
    throw error;
  }
}

/** What comes of a token, and that nothing else did: no connection, no output, no part of it in the error. */
function outcome(token: string): LoginErrorCode | VerifiedToken {
  const result = verified(token);
  expect(connections).not.toHaveBeenCalled();
  for (const stream of written) expect(stream).not.toHaveBeenCalled();
  if (!(result instanceof LoginError)) return result;
  expect(result.status).toBe(401);
  const told = inspect(result, { depth: 10, showHidden: true });
  for (const part of token.split('.')) {
    if (part.length > 8) expect(told).not.toContain(part);
  }
  return result.code;
}

const session = (token: string) => {
  const result = outcome(token);
  return typeof result === 'string' ? result : result.handle;
};

const refused = (title: string, code: LoginErrorCode, rows: [name: string, token: string][]) => {
  describe(`${title}: ${code}`, () => {
    test.each(rows)('%s', (_, token) => {
      expect(outcome(token)).toBe(code);
    });
  });
};

const accepted = (title: string, rows: [name: string, token: string][]) => {
  describe(`${title}: accepted`, () => {
    test.each(rows)('%s', (_, token) => {
      expect(outcome(token)).toMatchObject({ user: { subject: 'usr_1' } });
    });
  });
};

accepted('to begin with', [
  ['RS256', rs()],
  ['ES256', es()],
  ['HS256', hs()],
  ['another issuer with a key of the same kid', rs({ key: neighbour.privateKey, payload: claims(NEIGHBOUR) })],
]);

const [header = '', payload = '', signature = ''] = rs().split('.');
const unused = (part: string) => part.slice(0, -1) + twinOf(part.slice(-1));

function nested(levels: number): string {
  return `{"deep":${'['.repeat(levels)}${']'.repeat(levels)}}`;
}

describe('form', () => {
  refused('form', 'token_malformed', [
    ['nothing', ''],
    ['a dot', '.'],
    ['two dots', '..'],
    ['one part', header],
    ['two parts', `${header}.${payload}`],
    ['four parts', `${header}.${payload}.${signature}.`],
    [
      'a JWE of five parts',
      `${encode({ alg: 'RSA-OAEP', enc: 'A256GCM' })}.${payload}.${payload}.${payload}.${signature}`,
    ],
    ['no header', `.${payload}.${signature}`],
    ['no payload', `${header}..${signature}`],
    ['no signature', `${header}.${payload}.`],
    ['a space before', ` ${rs()}`],
    ['a space behind', `${rs()} `],
    ['a line feed behind', `${rs()}\n`],
    ['a space within', `${header}. ${payload}.${signature}`],
    ['a tab within', `${header}.${payload}.\t${signature}`],
    ['a byte order mark before', `\ufeff${rs()}`],
    ['a null character', `${rs()}\u0000`],
    ['padding of the header', `${header}=.${payload}.${signature}`],
    ['padding of the signature', `${rs()}==`],
    ['plain base64', rs().replaceAll('-', '+').replaceAll('_', '/') + '+/'],
    ['a letter that is no ASCII', `${header}.${payload}.é${signature.slice(1)}`],
    ['a full-width letter', `${header}.${payload}.Ａ${signature.slice(1)}`],
    ['a lone surrogate', `${header}.${payload}.\ud800${signature.slice(1)}`],
    ['a part of impossible length', `${header}.${payload}.${signature}AAA`],
    ['unused bits of the header', `${unused(encode('{"alg":"RS256"}  '))}.${payload}.${signature}`],
    ['unused bits of the payload', `${header}.${unused(encode(`${JSON.stringify(claims(RSA))} `))}.${signature}`],
    ['unused bits of an RSA signature', `${header}.${payload}.${unused(signature)}`],
    ['unused bits of an ECDSA signature', unused(es())],
    ['unused bits of a MAC', unused(hs())],
    ['JSON serialization', JSON.stringify({ protected: header, payload, signature })],
  ]);

  refused('header', 'token_malformed', [
    ['no JSON', rs({ header: 'alg: RS256' })],
    ['a list', rs({ header: '["RS256"]' })],
    ['a text', rs({ header: '"RS256"' })],
    ['a number', rs({ header: '256' })],
    ['null', rs({ header: 'null' })],
    ['a byte order mark', rs({ header: '\ufeff{"alg":"RS256"}' })],
    ['JSON and more', rs({ header: '{"alg":"RS256"}x' })],
    ['single quotes', rs({ header: "{'alg':'RS256'}" })],
    ['bytes that are no UTF-8', rs({ header: Buffer.from('7b22616c67223a225253323536222c22c328223a317d', 'hex') })],
    ['bytes of UTF-16', rs({ header: Buffer.from('{"alg":"RS256"}', 'utf16le') })],
    ['a kid that is a number', rs({ header: { kid: 5 } })],
    ['a kid that is null', rs({ header: { kid: null } })],
    ['a kid that is a list', rs({ header: { kid: ['key-1'] } })],
    ['a kid that is an object', rs({ header: { kid: { toString: 'key-1' } } })],
    ['crit of a known claim', rs({ header: { crit: ['exp'], exp: SOON } })],
    ['crit of an unknown extension', rs({ header: { crit: ['http://example.com/x'], 'http://example.com/x': 1 } })],
    ['crit of nothing', rs({ header: { crit: [] } })],
    ['crit that is null', rs({ header: { crit: null } })],
    ['an unencoded payload (RFC 7797)', rs({ header: { b64: false, crit: ['b64'] } })],
    ['an unencoded payload that is not critical', rs({ header: { b64: false } })],
    ['a compressed payload', rs({ header: { zip: 'DEF' } })],
  ]);

  refused('payload', 'token_malformed', [
    ['a payload nested one level too deeply', rs({ payload: nested(64) })],
    ['a payload nested as deeply as fits', rs({ payload: nested(2700) })],
    ['a payload of objects nested too deeply', rs({ payload: `${'{"a":'.repeat(65)}0${'}'.repeat(65)}` })],
    ['nothing but white space', rs({ payload: ' ' })],
    ['a text', rs({ payload: 'Payload' })],
    ['a JSON text', rs({ payload: '"usr_1"' })],
    ['a list', rs({ payload: `[${JSON.stringify(claims(RSA))}]` })],
    ['null', rs({ payload: 'null' })],
    ['a number', rs({ payload: '5' })],
    ['a nested token', rs({ header: { kid: 'key-1', cty: 'JWT' }, payload: rs() })],
    ['JSON and more', rs({ payload: `${JSON.stringify(claims(RSA))}{}` })],
    ['a byte order mark', rs({ payload: `\ufeff${JSON.stringify(claims(RSA))}` })],
    ['NaN', rs({ payload: raw('"exp":NaN') })],
    ['Infinity', rs({ payload: raw('"exp":Infinity') })],
    ['a number in hexadecimal', rs({ payload: raw('"exp":0x7fffffff') })],
    ['a trailing comma', rs({ payload: raw('"a":1,') })],
    ['a comment', rs({ payload: `${JSON.stringify(claims(RSA))}//` })],
    [
      'bytes that are no UTF-8',
      rs({ payload: Buffer.concat([Buffer.from(raw('"x":"').slice(0, -1)), Buffer.from([0xff, 0x22, 0x7d])]) }),
    ],
    [
      'a surrogate in UTF-8',
      rs({ payload: Buffer.concat([Buffer.from(raw('"x":"').slice(0, -1)), Buffer.from('eda080227d', 'hex')]) }),
    ],
    ['brackets without end', rs({ payload: '['.repeat(4000) })],
  ]);

  const padded = (length: number) => {
    const short = hs({ payload: { ...claims(HS), pad: '' } }).length;
    const pad = Array.from({ length: 4 }, (_, more) => 'x'.repeat(Math.floor(((length - short) * 3) / 4) + more - 2));
    return (
      pad.map((text) => hs({ payload: { ...claims(HS), pad: text } })).find((token) => token.length === length) ?? ''
    );
  };
  accepted('length', [['of 8 KiB, to the byte', padded(MAX_TOKEN_LENGTH)]]);
  refused('length', 'token_too_large', [
    ['one more', `${padded(MAX_TOKEN_LENGTH)}A`],
    ['a megabyte', 'A'.repeat(2 ** 20)],
    ['a megabyte of dots', '.'.repeat(2 ** 20)],
  ]);
});

describe('algorithm', () => {
  const unsecured = (alg: unknown, end: string) => `${encode({ alg, kid: 'key-1' })}.${payload}.${end}`;
  refused('none', 'algorithm_refused', [
    ...['none', 'None', 'NONE', 'nOnE', 'none ', ''].flatMap((alg): [string, string][] => [
      [`${JSON.stringify(alg)} without a signature`, unsecured(alg, '')],
      [`${JSON.stringify(alg)} with a signature`, unsecured(alg, signature)],
    ]),
    ['no alg', unsecured(undefined, signature)],
  ]);

  refused('unknown', 'algorithm_refused', [
    ['null', unsecured(null, signature)],
    ['a list', unsecured(['RS256'], signature)],
    ['an object', unsecured({ toString: 'RS256' }, signature)],
    ['true', unsecured(true, signature)],
    ...['rs256', 'RS256 ', 'RS1', 'HS1', 'Ed448', 'ES256K', 'A128GCM', 'dir', '__proto__', 'constructor'].map(
      (alg): [string, string] => [alg, unsecured(alg, signature)],
    ),
    ['inherited', rs({ header: '{"__proto__":{"alg":"RS256"}}' })],
    ['given twice, the last none', rs({ header: '{"alg":"RS256","alg":"none"}' })],
  ]);

  const publicKeys = {
    'PEM of the public key': rsa.publicKey.export({ type: 'spki', format: 'pem' }),
    'PEM without its last line feed': String(rsa.publicKey.export({ type: 'spki', format: 'pem' })).trimEnd(),
    'PEM of PKCS #1': rsa.publicKey.export({ type: 'pkcs1', format: 'pem' }),
    'DER of the public key': rsa.publicKey.export({ type: 'spki', format: 'der' }),
    'DER of PKCS #1': rsa.publicKey.export({ type: 'pkcs1', format: 'der' }),
    'its modulus': Buffer.from(String(rsa.publicKey.export({ format: 'jwk' }).n), 'base64url'),
  };
  refused('confusion', 'algorithm_refused', [
    ...Object.entries(publicKeys).flatMap(([name, bytes]) =>
      (['HS256', 'HS384', 'HS512'] as const).map((alg): [string, string] => [
        `${alg} with the ${name}`,
        rs({ alg, key: createSecretKey(Buffer.from(bytes)) }),
      ]),
    ),
    ['HS256 with nothing', rs({ alg: 'HS256', key: createSecretKey(Buffer.alloc(0)) })],
    ['RS512 where the key serves RS256', rs({ alg: 'RS512' })],
    ['PS256 where the key serves RS256', rs({ alg: 'PS256' })],
    ['ES256 for an RSA key', rs({ alg: 'ES256', key: ec.privateKey })],
    ['RS256 for an EC key', es({ alg: 'RS256', key: rsa.privateKey })],
    ['HS512 where the secret serves HS256', hs({ alg: 'HS512' })],
    ['RS256 for a secret', hs({ alg: 'RS256', key: attacker.privateKey })],
  ]);

  accepted('given twice', [['the last one counts', rs({ header: '{"alg":"none","alg":"RS256"}' })]]);
});

describe('key', () => {
  const theirs = jwk(attacker.publicKey, 'key-1');
  const der = attacker.publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
  const url = 'http://127.0.0.1:9/jwks.json';
  refused('brought along', 'signature_invalid', [
    ['nothing: another key', rs({ key: attacker.privateKey })],
    ['jwk', rs({ key: attacker.privateKey, header: { kid: 'key-1', jwk: theirs } })],
    ['jku', rs({ key: attacker.privateKey, header: { kid: 'key-1', jku: url } })],
    ['x5u', rs({ key: attacker.privateKey, header: { kid: 'key-1', x5u: url } })],
    ['x5c', rs({ key: attacker.privateKey, header: { kid: 'key-1', x5c: [der] } })],
    [
      'all of them, without kid',
      rs({ key: attacker.privateKey, header: { jwk: theirs, jku: url, x5u: url, x5c: [der] } }),
    ],
    ["another issuer's key of the same kid", rs({ key: neighbour.privateKey })],
    ["another issuer's secret", hs({ key: createSecretKey(Buffer.alloc(32)) })],
  ]);
  refused("another issuer's", 'algorithm_refused', [
    ['key of the same kid', es({ alg: 'RS256', key: rsa.privateKey })],
    ['secret', rs({ alg: 'HS256', key: secret })],
  ]);
  accepted('brought along, but signed with ours', [
    ['jwk', rs({ header: { kid: 'key-1', jwk: theirs } })],
    ['jku, x5u, x5c', rs({ header: { kid: 'key-1', jku: url, x5u: url, x5c: [der] } })],
  ]);
  refused('named', 'key_unknown', [
    ...[
      'key-2',
      '',
      'KEY-1',
      '__proto__',
      'constructor',
      'toString',
      '../../../../dev/null',
      "' OR 1=1 --",
      'key-1\u0000',
    ].map((kid): [string, string] => [JSON.stringify(kid), rs({ header: { kid } })]),
    ['by a huge name', rs({ header: { kid: 'k'.repeat(4000) } })],
  ]);
});

describe('type', () => {
  const typed = (typ: unknown, iss = HS) => hs({ header: { typ }, payload: claims(iss) });
  refused('of another kind', 'type_refused', [
    ...[
      'logout+jwt',
      'LOGOUT+JWT',
      'application/logout+jwt',
      'dpop+jwt',
      'secevent+jwt',
      'token-introspection+jwt',
    ].map((typ): [string, string] => [typ, typed(typ)]),
    ['JOSE', typed('JOSE')],
    ['an empty one', typed('')],
    ['the prefix alone', typed('application/')],
    ['the prefix twice', typed('application/application/jwt')],
    ['with a parameter', typed('JWT; charset=utf-8')],
    ['null', typed(null)],
    ['a number', typed(5)],
    ['a list', typed(['JWT'])],
    ['an ID token where access tokens are wanted', typed('JWT', STRICT)],
    ['none where access tokens are wanted', typed(undefined, STRICT)],
    ['logout+jwt even where it is configured', typed('logout+jwt', STRICT)],
    [
      'a logout event in a JWT',
      hs({
        header: { typ: 'JWT' },
        payload: { ...claims(HS), events: { 'http://schemas.openid.net/event/backchannel-logout': {} } },
      }),
    ],
  ]);
  accepted('of a login token', [
    ...['JWT', 'jwt', 'application/jwt', 'at+jwt', 'AT+JWT', 'Application/AT+JWT', undefined].map(
      (typ): [string, string] => [String(typ), typed(typ)],
    ),
    ['at+jwt where access tokens are wanted', typed('at+jwt', STRICT)],
  ]);
});

describe('signature', () => {
  const order = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551');
  const number = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
  const bytes = (value: bigint) => Buffer.from((value % 2n ** 256n).toString(16).padStart(64, '0'), 'hex');
  const halves = (whole: Buffer) => [number(whole.subarray(0, 32)), number(whole.subarray(32))] as const;
  const ecdsa = (change: (r: bigint, s: bigint) => readonly [bigint, bigint]) =>
    resigned(es(), (whole) => Buffer.concat(change(...halves(whole)).map(bytes)));
  const der = (token: string) =>
    resigned(token, () => sign('sha256', Buffer.from(token.slice(0, token.lastIndexOf('.'))), ec.privateKey));

  refused('ECDSA', 'signature_invalid', [
    ['r = 0, s = 0', ecdsa(() => [0n, 0n])],
    ['r = 0', ecdsa((_, s) => [0n, s])],
    ['s = 0', ecdsa((r) => [r, 0n])],
    ['r = 1, s = 1', ecdsa(() => [1n, 1n])],
    ['r = n, s = n', ecdsa(() => [order, order])],
    ['s = n', ecdsa((r) => [r, order])],
    ['s beyond n', ecdsa((r, s) => [r, s + order < 2n ** 256n ? s + order : order + 1n])],
    ['r beyond n', ecdsa((r, s) => [r + order < 2n ** 256n ? r + order : order + 1n, s])],
    ['r and s exchanged', ecdsa((r, s) => [s, r])],
    ['all ones', ecdsa(() => [2n ** 256n - 1n, 2n ** 256n - 1n])],
    ['(n - r, s)', ecdsa((r, s) => [order - r, s])],
    ['DER in place of r and s', der(es())],
    ['a byte too few', resigned(es(), (whole) => whole.subarray(1))],
    ['a zero too many before', resigned(es(), (whole) => Buffer.concat([Buffer.alloc(1), whole]))],
    ['a zero too many behind', resigned(es(), (whole) => Buffer.concat([whole, Buffer.alloc(1)]))],
    ['of 96 bytes, as for another curve', resigned(es(), (whole) => Buffer.concat([whole, Buffer.alloc(32)]))],
    ['of one byte', resigned(es(), () => Buffer.from([1]))],
  ]);

  const modulus = BigInt(
    `0x${Buffer.from(String(rsa.publicKey.export({ format: 'jwk' }).n), 'base64url').toString('hex')}`,
  );
  refused('RSA', 'signature_invalid', [
    ['zero', resigned(rs(), (whole) => Buffer.alloc(whole.length))],
    ['one', resigned(rs(), (whole) => Buffer.concat([Buffer.alloc(whole.length - 1), Buffer.from([1])]))],
    ['the modulus', resigned(rs(), () => Buffer.from(modulus.toString(16), 'hex'))],
    [
      'the same modulo n',
      resigned(rs(), (whole) => Buffer.from((number(whole) + modulus).toString(16).padStart(514, '0'), 'hex')),
    ],
    ['a zero too many before', resigned(rs(), (whole) => Buffer.concat([Buffer.alloc(1), whole]))],
    ['a byte too few', resigned(rs(), (whole) => whole.subarray(1))],
    [
      'PSS in place of PKCS #1',
      rs().replace(
        signature,
        forge({ alg: 'PS256', key: rsa.privateKey, header: encode({}), payload }).split('.')[2] ?? '',
      ),
    ],
    [
      'of another hash',
      `${header}.${payload}.${sign('sha512', Buffer.from(`${header}.${payload}`), rsa.privateKey).toString('base64url')}`,
    ],
    ['of another token', `${header}.${encode({ ...claims(RSA), sub: 'usr_2' })}.${signature}`],
    [
      'over the payload alone',
      `${header}.${payload}.${sign('sha256', Buffer.from(payload), rsa.privateKey).toString('base64url')}`,
    ],
  ]);

  refused('MAC', 'signature_invalid', [
    ['zero', resigned(hs(), (whole) => Buffer.alloc(whole.length))],
    ['cut to a byte', resigned(hs(), (whole) => whole.subarray(0, 1))],
    ['a byte too few', resigned(hs(), (whole) => whole.subarray(0, -1))],
    ['a byte too many', resigned(hs(), (whole) => Buffer.concat([whole, Buffer.alloc(1)]))],
    ['of another hash', resigned(hs(), (whole) => Buffer.concat([whole, whole]))],
  ]);

  test('the twin (r, n - s) verifies, and is the same session', () => {
    const token = es();
    const twin = resigned(token, (whole) => {
      const [r, s] = halves(whole);
      return Buffer.concat([bytes(r), bytes(order - s)]);
    });
    expect(twin).not.toBe(token);
    expect(session(twin)).toMatch(/^[\w-]{22}$/);
    expect(session(twin)).toBe(session(token));
  });

  test('the twin is the same session also where the token names none', () => {
    const token = es({ payload: { iss: EC, sub: 'usr_1', aud: 'shop', iat: SOON - 120, exp: SOON } });
    const again = resigned(token, () =>
      sign('sha256', Buffer.from(token.slice(0, token.lastIndexOf('.'))), {
        key: ec.privateKey,
        dsaEncoding: 'ieee-p1363',
      }),
    );
    expect(again).not.toBe(token);
    expect(session(again)).toBe(session(token));
    expect(session(token)).not.toBe(session(es()));
  });

  test('nothing is told of the claims before it', () => {
    for (const change of [{ exp: 1 }, { aud: 'mail' }, { sub: 5 }, { nbf: SOON + 1e6 }, { iat: 'x' }]) {
      const token = rs({ payload: { ...claims(RSA), ...change } });
      expect(outcome(token)).not.toBe('signature_invalid');
      expect(outcome(resigned(token, (whole) => whole.reverse()))).toBe('signature_invalid');
    }
  });
});

describe('claims', () => {
  const claiming = (changes: object) => rs({ payload: { ...claims(RSA), ...changes } });
  refused('issuer', 'issuer_refused', [
    ['none', claiming({ iss: undefined })],
    ['null', claiming({ iss: null })],
    ['empty', claiming({ iss: '' })],
    ['a number', claiming({ iss: 5 })],
    ['a list', claiming({ iss: [RSA] })],
    ['an object', claiming({ iss: { toString: RSA } })],
    ['another', claiming({ iss: 'https://evil.example.com/' })],
    ['one more slash', claiming({ iss: `${RSA}/` })],
    ['with a lone surrogate', claiming({ iss: `${RSA}\ud800` })],
    ['__proto__', claiming({ iss: '__proto__' })],
    [
      'inherited',
      rs({
        payload: JSON.stringify({ ...claims(RSA), iss: undefined }).replace('{', `{"__proto__":{"iss":"${RSA}"},`),
      }),
    ],
    ['huge', claiming({ iss: 'https://'.repeat(700) })],
    ['no claims at all', rs({ payload: {} })],
  ]);
  refused('audience', 'audience_refused', [
    ['another', claiming({ aud: 'mail' })],
    ['a list in a list', claiming({ aud: [['shop']] })],
    ['an object', claiming({ aud: { shop: true } })],
    ['given twice, the last another', rs({ payload: raw('"aud":"mail"') })],
  ]);
  refused('values', 'claim_invalid', [
    ['exp as a text', claiming({ exp: String(SOON) })],
    ['exp of 1e400', rs({ payload: raw('"exp":1e400') })],
    ['a sub of nothing', claiming({ sub: '' })],
    ['a sub that is a number', claiming({ sub: 1 })],
    ['a sub with a lone surrogate', rs({ payload: raw('"sub":"usr_1\\ud800"') })],
    ['a sub only as __proto__', rs({ payload: raw('"sub":null,"__proto__":{"sub":"admin"}') })],
  ]);
  refused('time', 'token_expired', [
    ['exp long ago', claiming({ exp: 1 })],
    ['exp of -0', rs({ payload: raw('"exp":-0') })],
    ['exp given twice, the last long ago', rs({ payload: raw('"exp":1') })],
  ]);
  refused('time', 'token_not_yet_valid', [
    ['nbf to come', claiming({ nbf: SOON })],
    ['iat to come', claiming({ iat: SOON })],
  ]);
  accepted('odd, but harmless', [
    ['__proto__', rs({ payload: raw('"__proto__":{"admin":true}') })],
    ['constructor', rs({ payload: raw('"constructor":{"prototype":{"admin":true}}') })],
    ['names of methods', rs({ payload: raw('"toString":1,"valueOf":null,"hasOwnProperty":false,"then":"x"') })],
    ['nested as deeply as is allowed', rs({ payload: raw(`"deep":${'['.repeat(63)}${']'.repeat(63)}`) })],
    ['many objects', rs({ payload: raw(`"many":[${'{},'.repeat(1500)}{}]`) })],
    ['duplicate names', rs({ payload: raw('"sub":"usr_2","sub":"usr_1"') })],
    ['a sid with a lone surrogate', rs({ payload: raw('"sid":"\\ud800"') })],
  ]);

  test('no prototype is touched', () => {
    const verified = outcome(
      rs({ payload: raw('"__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}}') }),
    );
    expect(verified).toHaveProperty('handle');
    expect(({} as Record<string, unknown>)['admin']).toBeUndefined();
    expect(Object.getPrototypeOf((verified as VerifiedToken).claims)).toBe(Object.prototype);
  });
});

describe('any change of a valid token is refused, or is the same session', () => {
  const tokens = { HS256: hs(), RS256: rs(), ES256: es() };
  const isHarmless = (token: string, changed: string) => {
    const result = verified(changed);
    return result instanceof LoginError ? result.status === 401 : isSame(result, verified(token));
  };
  const isSame = (result: VerifiedToken, original: VerifiedToken | LoginError) =>
    'handle' in original && original.handle === result.handle && original.user.subject === result.user.subject;

  test.each(Object.entries(tokens))('%s: one bit', (_, token) => {
    const flip = (at: number, bit: number) => {
      const bytes = Buffer.from(token, 'latin1');
      bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << bit), at);
      return bytes.toString('latin1');
    };
    fc.assert(
      fc.property(fc.nat(token.length - 1), fc.nat(7), (at, bit) => {
        return isHarmless(token, flip(at, bit));
      }),
      { numRuns: 400 },
    );
  });

  test.each(Object.entries(tokens))('%s: one character changed, added or taken away', (_, token) => {
    fc.assert(
      fc.property(fc.nat(token.length), fc.string({ unit: 'binary', maxLength: 1 }), fc.nat(1), (at, text, taken) => {
        return isHarmless(token, token.slice(0, at) + text + token.slice(at + taken));
      }),
      { numRuns: 400 },
    );
  });

  test.each(Object.entries(tokens))('%s: one bit of the decoded parts', (_, token) => {
    const parts = token.split('.');
    fc.assert(
      fc.property(fc.nat(2), fc.nat(10_000), fc.nat(7), (part, position, bit) => {
        const bytes = Buffer.from(parts[part] ?? '', 'base64url');
        const at = position % bytes.length;
        bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << bit), at);
        return verified(parts.with(part, encode(bytes)).join('.')) instanceof LoginError;
      }),
      { numRuns: 400 },
    );
  });

  test.each(Object.entries(tokens))('%s: every last character of every part', (_, token) => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const parts = token.split('.');
    for (const index of parts.keys()) {
      for (const character of alphabet) {
        expect(isHarmless(token, parts.with(index, (parts[index] ?? '').slice(0, -1) + character).join('.'))).toBe(
          true,
        );
      }
    }
  });
});

/** The character that differs in the last of the bits which a part of 2 or 3 characters more than whole groups leaves unused. */
function twinOf(character: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return alphabet.charAt(alphabet.indexOf(character) ^ 1);
}
