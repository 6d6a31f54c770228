/** Requests as Node parses them, without a server. */

import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import type { AppRequest } from '../../lib/http/app-request.js';

export interface Sent {
  readonly headers?: Readonly<Record<string, string>>;
  readonly raw?: readonly string[];
  readonly address?: string;
  readonly members?: object;
}

export function request({ headers = {}, raw, address, members = {} }: Sent): AppRequest {
  const socket = new Socket();
  Object.defineProperty(socket, 'remoteAddress', { value: address });
  const req = new IncomingMessage(socket);
  Object.assign(req.headers, headers);
  req.rawHeaders = [...(raw ?? Object.entries(headers).flat())];
  return Object.assign(req, members);
}
