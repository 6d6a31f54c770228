/** HTML from template strings, in which every value is escaped. */

/** A string that is HTML already. {@link markup} escapes everything else. */
export class Html {
  constructor(readonly text: string) {}
}

export type Fragment = Html | string | number | null | readonly Html[];

export function markup(parts: TemplateStringsArray, ...values: readonly Fragment[]): Html {
  let text = parts[0] ?? '';
  values.forEach((value, index) => {
    text += markupOf(value) + (parts[index + 1] ?? '');
  });
  return new Html(text);
}

function markupOf(value: Fragment): string {
  if (value === null) return '';
  if (value instanceof Html) return value.text;
  if (typeof value === 'object') return value.map((part) => part.text).join('');
  return escaped(String(value));
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escaped(text: string): string {
  return (
    text
      .toWellFormed()
      .replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '')
      // eslint-disable-next-line no-control-regex -- control characters are not allowed in HTML
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g, '\ufffd')
  );
}
