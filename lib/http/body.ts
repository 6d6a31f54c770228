/** Reads the small bodies that the routes take, also where another parser was first. */

import type { IncomingMessage } from 'node:http';
import { LoginError } from '../core/errors.js';
import { FORM_TYPE, mediaType, type AppRequest } from './request.js';

/** Longest body of the routes, in bytes. */
const BODY_LIMIT = 4096;

/** The JSON body. Rejects with `LoginError` `request_invalid` for any other kind, malformed JSON and more than 4 KiB. */
export async function jsonOf(req: AppRequest): Promise<unknown> {
  const type = mediaType(req);
  if (type !== 'application/json' && !/^application\/[\w.-]+\+json$/.test(type)) {
    throw new LoginError('request_invalid', 'The body must be application/json');
  }
  if (wasRead(req)) return req.body;
  const text = await textOf(req, BODY_LIMIT);
  try {
    return JSON.parse(text);
  } catch {
    throw new LoginError('request_invalid', 'The body is no JSON');
  }
}

/** The fields of a form; none where there is no body. Rejects like {@link jsonOf}; `limit` in bytes. */
export async function formOf(req: AppRequest, limit = BODY_LIMIT): Promise<unknown> {
  const type = mediaType(req);
  if (type === '') return {};
  if (type !== FORM_TYPE) throw new LoginError('request_invalid', `The body must be ${FORM_TYPE}`);
  if (wasRead(req)) return req.body;
  return Object.fromEntries(new URLSearchParams(await textOf(req, limit)));
}

/** A member of a body; undefined where there is none. */
export function fieldOf(body: unknown, name: string): unknown {
  if (typeof body !== 'object' || body === null || !Object.hasOwn(body, name)) return undefined;
  const value: unknown = Reflect.get(body, name);
  return value;
}

/** Whether another parser has had the stream: then what it made of the body is all there is. */
function wasRead(req: IncomingMessage): boolean {
  return req.readableDidRead || req.readableEnded;
}

async function textOf(req: IncomingMessage, limit: number): Promise<string> {
  const encoding = req.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw new LoginError('request_invalid', 'The body must not be compressed');
  }
  const bytes = await bytesOf(req, limit);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new LoginError('request_invalid', 'The body is no UTF-8');
  }
}

/** By events: ending an iteration early would destroy the connection before it could be answered. */
function bytesOf(req: IncomingMessage, limit: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;

    function take(chunk: Buffer): void {
      length += chunk.length;
      if (length <= limit) chunks.push(chunk);
      else settle(new LoginError('request_invalid', `The body is longer than ${limit} bytes`));
    }
    function finish(): void {
      settle(null);
    }
    function abort(): void {
      settle(new LoginError('request_invalid', 'The body ended early'));
    }
    function settle(error: LoginError | null): void {
      req.off('data', take).off('end', finish).off('close', abort).off('error', abort);
      // What is left of a long body is read and dropped, so that its sender gets to the answer.
      req.resume().on('error', ignore);
      if (error === null) resolve(Buffer.concat(chunks));
      else reject(error);
    }

    if (req.destroyed) abort();
    else req.on('data', take).on('end', finish).on('close', abort).on('error', abort);
  });
}

function ignore(): void {
  // The connection broke, and its request has been answered.
}
