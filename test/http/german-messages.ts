/** The page in German: what docs/page.md gives to whoever wants another language. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { messagesOffered, type Messages, type MessagesOverride } from '../../lib/http/messages.js';

const DOCS = readFileSync(join(__dirname, '../../docs/page.md'), 'utf8');

/** As it stands there, without what is English. */
export const germanTexts = textsAfter('### All texts in German');

export const [germanMessages] = messagesOffered(germanTexts) as readonly [Messages];

function textsAfter(heading: string): MessagesOverride {
  const [, texts = ''] = /messages: (\{\n[^]*?\n {4}\}),/.exec(DOCS.split(`${heading}\n`)[1] ?? '') ?? [];
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- our own documentation
  return new Function(`return ${texts}`)() as MessagesOverride;
}
