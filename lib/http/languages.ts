/** The languages of the option `messages`: what is said of a shape that was guessed wrongly, and which one a reader gets. */

import type { Advice } from '../core/advice.js';
import { isPlain, kindOf } from '../core/check.js';

const ONE = "{ language: 'de', title: '...' }";
/** Follows a colon. */
export const SHAPE = `write ${ONE} for one language, and a list of these for several`;

/** For names that are no texts but languages, as in `{ de: { ... } }`: what to write instead. By the name in lower case. */
export function languageAdvice(given: object, texts: readonly string[]): Advice {
  const hasTexts = (value: unknown): boolean =>
    isPlain(value) && Object.keys(value).some((name) => texts.includes(name));
  const languages = Object.entries(given).filter(
    ([name, value]) => /^[a-z]{2}([-_]\w+)?$/i.test(name) || hasTexts(value),
  );
  return Object.fromEntries(languages.map(([name]) => [name.toLowerCase(), SHAPE]));
}

/** Throws a `TypeError` if two are in the same language, because the second would never be shown. */
export function refuseSameLanguage(texts: readonly { readonly language: string }[]): void {
  const first = new Map<string, number>();
  for (const [index, { language }] of texts.entries()) {
    const { baseName } = new Intl.Locale(language).maximize();
    const earlier = first.get(baseName);
    if (earlier !== undefined) {
      const both = `messages[${earlier}] and messages[${index}]`;
      throw new TypeError(
        `${both} are in the same language ('en' if it is left out): give each its own, as in [${ONE}, {}]`,
      );
    }
    first.set(baseName, index);
  }
}

/** Throws a `TypeError` for what is no BCP 47 tag of a language by its code: `de_DE`, `German`. */
export function checkLanguage(path: string, value: unknown): void {
  if (typeof value === 'string' && /^[a-z]{2,3}(?:-|$)/i.test(value) && localeOf(value) !== null) return;
  throw new TypeError(`${path} must be a language tag such as 'de' or 'pt-BR', got ${kindOf(value)} of another form`);
}

/** How well the texts suit the reader, both by a language tag. 0: they are in another language. Otherwise script and region count. */
export function closeness(language: string, wanted: string): number {
  if (primary(language) !== primary(wanted)) return 0;
  const [texts, reader] = [localeOf(language), localeOf(wanted)];
  if (texts === null || reader === null) return 0;
  return 1 + (texts.script === reader.script ? 2 : 0) + (texts.region === reader.region ? 1 : 0);
}

/** `de` of `de-AT`. */
export function primary(tag: string): string {
  return (tag.split('-')[0] ?? '').toLowerCase();
}

function localeOf(tag: string): Intl.Locale | null {
  try {
    return new Intl.Locale(tag).maximize();
  } catch {
    return null;
  }
}
