/** HTTP requests to an issuer: bounded in time and size, and redirects are not followed. */

import { runInThisContext } from 'node:vm';
import { isObject } from '../core/check.js';
import { oneLine, shown } from '../core/diagnosis.js';

/** Largest response that is read, in bytes: ten times a set of a hundred keys. */
const RESPONSE_LIMIT = 1024 * 1024;

/** The global one; that of the process where a test runner hides it, as Jest 27 does. */
function ownFetch(): typeof fetch {
  return typeof fetch === 'function' ? fetch : (runInThisContext('fetch') as typeof fetch);
}

/**
 * The JSON object at a URL. `what` names the endpoint in error messages; `onResponse` gets the response as soon as it begins. Rejects if the status is not 2xx (redirects
 * included), if the response is larger than {@link RESPONSE_LIMIT} or not a JSON object, and if `signal` fires before the
 * whole response has arrived.
 */
export async function fetchJson(
  url: URL,
  what: string,
  signal: AbortSignal,
  onResponse: (response: Response) => void = () => undefined,
): Promise<Readonly<Record<string, unknown>>> {
  const response = await ownFetch()(url, {
    redirect: 'manual',
    headers: { accept: 'application/json, application/jwk-set+json' },
    signal,
  }).catch((error: unknown) => {
    throw unreachable(what, signal, error);
  });
  onResponse(response);
  if (!response.ok) {
    await response.body?.cancel();
    const isRedirect = response.status >= 300 && response.status < 400;
    const note = isRedirect ? ', a redirect, which is not followed' : '';
    throw new Error(`${what} responded with status ${response.status}${note}`);
  }
  const text = await readText(response, what).catch((error: unknown) => {
    throw error instanceof ResponseTooLarge ? error : unreachable(what, signal, error);
  });
  return parseObject(text, what);
}

/**
 * The URL of an issuer's keys, by OpenID Connect Discovery 1.0, section 4. Rejects if the document names another issuer
 * (section 4.3), or if its `jwks_uri` is not an https URL. An http URL is accepted if the issuer's own URL is http.
 */
export async function discoverJwksUri(issuer: string, signal: AbortSignal): Promise<URL> {
  const document = new URL(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`);
  const metadata = await fetchJson(document, 'The discovery document', signal);
  if (metadata['issuer'] !== issuer) {
    throw new Error(`The discovery document names another issuer: ${shown(metadata['issuer'])}, not ${shown(issuer)}`);
  }
  const uri = httpUrl(metadata['jwks_uri']);
  if (uri === undefined || (uri.protocol === 'http:' && document.protocol === 'https:')) {
    throw new Error('The discovery document has no usable jwks_uri');
  }
  return uri;
}

/** An absolute http or https URL without user and password; undefined if the value is anything else. */
export function httpUrl(value: unknown): URL | undefined {
  if (typeof value !== 'string' || !URL.canParse(value)) return undefined;
  const url = new URL(value);
  const isHttp = url.protocol === 'https:' || url.protocol === 'http:';
  return isHttp && url.username === '' && url.password === '' ? url : undefined;
}

/** A URL to which a path can be appended: {@link httpUrl} without query and fragment, also empty ones. */
export function baseUrl(value: unknown): URL | undefined {
  return typeof value === 'string' && !/[?#]/.test(value) ? httpUrl(value) : undefined;
}

class ResponseTooLarge extends Error {}

async function readText(response: Response, what: string): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let size = 0;
  const body: AsyncIterable<Uint8Array> | readonly Uint8Array[] = response.body ?? [];
  for await (const chunk of body) {
    size += chunk.byteLength;
    // Leaving the loop aborts the transfer.
    if (size > RESPONSE_LIMIT) throw new ResponseTooLarge(`${what} responded with more than ${RESPONSE_LIMIT} bytes`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function parseObject(text: string, what: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own message would show part of the response.
    throw new Error(`${what} did not respond with JSON${/^\s*</.test(text) ? ', but with HTML or XML' : ''}`);
  }
  if (!isObject(value)) throw new Error(`${what} responded with JSON that is not an object`);
  return value;
}

function unreachable(what: string, signal: AbortSignal, cause: unknown): Error {
  if (signal.aborted) return new Error(`${what} took too long to respond`, { cause });
  return new Error(`${what} cannot be reached: ${reasonOf(cause)}`, { cause });
}

/**
 * What is at the bottom of a `TypeError: fetch failed`, such as `connect ECONNREFUSED 127.0.0.1:80`. On one line. Node's
 * errors may be of another realm than ours, under a test runner, so that `instanceof` does not tell.
 */
function reasonOf(error: unknown): string {
  let root = error;
  for (let depth = 0; depth < 5 && isObject(root); depth += 1) {
    const inner: unknown = Array.isArray(root['errors']) ? root['errors'][0] : root['cause'];
    if (!isObject(inner)) break;
    root = inner;
  }
  if (!isObject(root)) return 'for an unknown reason';
  const [message = '', code = ''] = ['message', 'code'].map((name) => textOf(root, name));
  // Errors of OpenSSL are several lines long, with the names of its source files.
  if (code.startsWith('ERR_SSL_') || message === '') return oneLine(code || 'for an unknown reason');
  const line = oneLine(message).slice(0, REASON_LENGTH);
  return code === '' || line.includes(code) ? line : `${line} (${oneLine(code)})`;
}

function textOf(value: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const text = value[name];
  return typeof text === 'string' ? text : undefined;
}

/** In characters. */
const REASON_LENGTH = 200;
