import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { LoginError, managedSessions, memoryStore, redisStore } from 'managed-sessions';
import { isExpired, parseLoginToken } from 'managed-sessions/client';
import { createTestClock, createTestIssuer, signIn } from 'managed-sessions/testing';

const issuer = 'https://id.example.com/';
const secret = 'a shared secret of more than 32 bytes';

function encode(value = {}) {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function issue(sid = '') {
  const now = Math.floor(Date.now() / 1000);
  const input = encode({ alg: 'HS256' }) + '.' + encode({ iss: issuer, sub: 'ada', sid, iat: now, exp: now + 60 });
  return input + '.' + createHmac('sha256', secret).update(input).digest('base64url');
}
