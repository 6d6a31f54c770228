// What it costs to verify a token that was seen before ("again") and one that was not ("first"). Run it by
// `npm run bench:verify`. "again" is compared with jsonwebtoken.verify, "first" with the bare cryptographic check.

import * as crypto from 'node:crypto';
import jwt from 'jsonwebtoken';
import { createVerifier } from '../dist/esm/tokens/verify.js';

const TOKENS = 200;
const ROUNDS = 60;
const issuer = 'https://id.example.com/';

const secret = crypto.createSecretKey(crypto.randomBytes(32));
const rsa = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });

const subjects = {
  HS256: { signWith: secret, verifyWith: secret, check: checkMac },
  RS256: { signWith: rsa.privateKey, verifyWith: rsa.publicKey, check: checkSignature },
  ES256: { signWith: ec.privateKey, verifyWith: ec.publicKey, check: checkSignature },
};

console.log(`Node ${process.version}; microseconds per token, best of ${ROUNDS} rounds of ${TOKENS} tokens\n`);
console.log(row('', 'again', 'jsonwebtoken', 'share', 'first', 'bare', 'multiple'));
for (const [alg, subject] of Object.entries(subjects)) measure(alg, subject);

function measure(alg, { signWith, verifyWith, check }) {
  const tokens = Array.from({ length: TOKENS }, (_, index) =>
    jwt.sign(claims(index), signWith, { algorithm: alg, keyid: 'key-1' }),
  );
  const held = { key: verifyWith, kid: 'key-1', algorithms: [alg] };
  const keys = { candidates: () => [held], holds: (key) => key === held };
  const newVerifier = () =>
    createVerifier({
      issuers: [{ issuer, audience: 'shop', clockTolerance: 5000, keys }],
      clock: Date,
      lifetime: () => null,
    });
  const warm = newVerifier();
  tokens.forEach((token) => warm.verify(token));

  let again = Infinity;
  let theirs = Infinity;
  let first = Infinity;
  let bare = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const cold = newVerifier();
    again = Math.min(
      again,
      time(tokens.map(asReceived), (token) => warm.verify(token)),
    );
    theirs = Math.min(
      theirs,
      time(tokens.map(asReceived), (token) =>
        jwt.verify(token, verifyWith, { algorithms: [alg], issuer, audience: 'shop' }),
      ),
    );
    first = Math.min(
      first,
      time(tokens.map(asReceived), (token) => cold.verify(token)),
    );
    bare = Math.min(
      bare,
      time(tokens.map(asReceived), (token) => check(token, verifyWith)),
    );
  }
  console.log(
    row(
      alg,
      again.toFixed(2),
      theirs.toFixed(2),
      (again / theirs).toFixed(3),
      first.toFixed(2),
      bare.toFixed(2),
      (first / bare).toFixed(2),
    ),
  );
}

/** A new string, as in each request. */
function asReceived(token) {
  return Buffer.from(token, 'latin1').toString('latin1');
}

function time(tokens, run) {
  const start = process.hrtime.bigint();
  for (const token of tokens) run(token);
  return Number(process.hrtime.bigint() - start) / 1000 / tokens.length;
}

function checkSignature(token, key) {
  const dot = token.lastIndexOf('.');
  const signature = Buffer.from(token.slice(dot + 1), 'base64url');
  if (!crypto.verify('sha256', Buffer.from(token.slice(0, dot)), { key, dsaEncoding: 'ieee-p1363' }, signature))
    throw new Error('bad');
}

function checkMac(token, key) {
  const dot = token.lastIndexOf('.');
  const mac = crypto.createHmac('sha256', key).update(token.slice(0, dot)).digest();
  if (!crypto.timingSafeEqual(mac, Buffer.from(token.slice(dot + 1), 'base64url'))) throw new Error('bad');
}

function claims(index) {
  return {
    iss: issuer,
    sub: `usr_${index}`,
    sid: `kss_${crypto.randomUUID()}`,
    aud: ['shop', 'billing'],
    name: 'A person of ordinary name',
    preferred_username: `person-${index}`,
    email: `person-${index}@example.com`,
    scope: 'openid profile email orders:read orders:write',
    orgs: [{ oid: 'org_1', mid: 'mbr_1', perm: ['ar.admin', 'editor'], selected: true, name: 'One of many' }],
    exp: Math.floor(Date.now() / 1000) + 3600,
  };
}

function row(...cells) {
  return cells.map((cell, column) => (column === 0 ? cell.padEnd(6) : cell.padStart(13))).join('');
}
