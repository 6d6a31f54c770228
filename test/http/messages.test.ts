/** The shape of the option `messages`, which people guess in many ways; and the language that a reader gets. */

import { languageFor, messagesOffered, type MessagesOverride } from '../../lib/http/messages.js';

const DE = { title: 'Geräte' };
const SHAPE = "write { language: 'de', title: '...' } for one language, and a list of these for several";

const offer = (option: unknown): unknown => messagesOffered(option as MessagesOverride);

describe('a shape that was guessed', () => {
  test.each<[string, unknown, string]>([
    ['a language by its name', { de: DE }, `messages has no text "de": ${SHAPE}`],
    ['several languages by name', { en: {}, de: DE }, `messages has no text "en": ${SHAPE}`],
    ['a region', { 'de-AT': DE }, `messages has no text "de-AT": ${SHAPE}`],
    ['a region with an underscore', { pt_BR: DE }, `messages has no text "pt_BR": ${SHAPE}`],
    ['the name of a file', { de: './de.json' }, `messages has no text "de": ${SHAPE}`],
    ['a language in words', { german: DE }, `messages has no text "german": ${SHAPE}`],
    ['the texts within the texts', { language: 'de', texts: DE }, `messages has no text "texts": ${SHAPE}`],
    ['a module', { default: DE }, `messages has no text "default": ${SHAPE}`],
    ['beside English', { title: 'Devices', de: DE }, `messages has no text "de": ${SHAPE}`],
    ['in a list', [{ de: DE }], `messages[0] has no text "de": ${SHAPE}`],
    ['a language', 'de', `messages must be an object of texts, got a string: ${SHAPE}`],
    ['languages', ['en', 'de'], `messages[0] must be an object of texts, got a string: ${SHAPE}`],
    ['pairs', [['de', DE]], `messages[0] must be an object of texts, got a list: ${SHAPE}`],
    ['a function', () => DE, `messages must be an object of texts, got a function: ${SHAPE}`],
    ['a Map', new Map([['title', 'Geräte']]), `messages must be an object of texts, got a Map: ${SHAPE}`],
    ['a promise', Promise.resolve(DE), `messages must be an object of texts, got a promise: ${SHAPE}`],
    ['null', null, `messages must be an object of texts, got null: ${SHAPE}`],
    ['nothing in a list', [undefined], `messages[0] must be an object of texts, got undefined: ${SHAPE}`],
    ['no language', [], 'messages must offer at least one language, got an empty list'],
  ])('%s is refused, with the right one', (_what, option, message) => {
    expect(() => offer(option)).toThrow(new TypeError(message));
  });

  test.each<[string, unknown[]]>([
    ['no language', [{ title: 'Devices' }, DE]],
    ['the same language', [{ language: 'de', title: 'Geräte' }, { language: 'en' }, { language: 'DE' }]],
    ['the same language by another name', [{ language: 'en-US' }, {}]],
  ])('a list in which two have %s is refused: the second would never be shown', (_what, option) => {
    expect(() => offer(option)).toThrow(/^messages\[0\] and messages\[[12]\] are in the same language/);
  });

  test.each<unknown>(['de_DE', 'German', 'deutsch', '', 'x', '*', 'de-', 'de\n'])('%j is no language', (language) => {
    const message = "messages.language must be a language tag such as 'de' or 'pt-BR'";
    expect(() => offer({ language })).toThrow(message);
    expect(() => offer([{}, { language }])).toThrow(message.replace('messages', 'messages[1]'));
  });

  test.each<[string, unknown, string]>([
    ['of a text', { tilte: 'x' }, 'messages has no text "tilte": did you mean title?'],
    ['of a group', { problem: { not_found: 'x' } }, 'messages has no text "problem": did you mean problems?'],
    ['in a list', [{}, { language: 'de', tilte: 'x' }], 'messages[1] has no text "tilte": did you mean title?'],
  ])('a slip in the name %s is told as what it is', (_what, option, message) => {
    expect(() => offer(option)).toThrow(new TypeError(message));
  });
});

describe('of languages with regions and scripts', () => {
  const offered = messagesOffered(
    ['en-GB', 'en-US', 'pt-BR', 'pt-PT', 'zh-Hans', 'zh-Hant', 'de'].map((language) => ({ language })),
  );

  test.each([
    ['en', 'en-US'],
    ['en-GB', 'en-GB'],
    ['en-AU', 'en-GB'],
    ['pt', 'pt-BR'],
    ['pt-PT', 'pt-PT'],
    ['pt-AO, en;q=0.8', 'pt-BR'],
    ['zh-TW', 'zh-Hant'],
    ['zh-HK', 'zh-Hant'],
    ['zh-CN', 'zh-Hans'],
    ['zh', 'zh-Hans'],
    ['de-CH', 'de'],
    ['fr', 'en-GB'],
    ['fr, de;q=0.1', 'de'],
    ['zh-cmn-Hans-CN, de', 'de'],
  ])('a reader of %s gets %s', (header, language) => {
    expect(languageFor(offered, header).messages.language).toBe(language);
  });
});
