/** A digest that names things: sessions, clients, messages. */

// As a namespace: Node before 20.12 has no `hash`, and an import by name would fail before node-version.ts can say so.
// eslint-disable-next-line no-restricted-imports
import * as crypto from 'node:crypto';

/** SHA-256 of the text in UTF-8, as 43 characters of base64url. */
export function sha256(text: string): string {
  return crypto.hash('sha256', text, 'base64url');
}
