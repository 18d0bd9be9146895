/** @returns the offset after a comment that starts at `start`: comments nest, and a backslash takes the next character out. */
export function afterComment(value: string, start: number): number {
  let depth = 0;
  for (let at = start; at < value.length; at += 1) {
    const char = value.charAt(at);
    if (char === '\\') at += 1;
    else if (char === '(') depth += 1;
    else if (char === ')') {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return value.length;
}

/** @returns a structured value without comments, each a space, and with quoted texts emptied: both may hold anything. */
export function withoutComments(value: string): string {
  let text = '';
  for (let at = 0; at < value.length; ) {
    const char = value.charAt(at);
    if (char === '(') {
      text += ' ';
      at = afterComment(value, at);
    } else if (char === '"') {
      text += '""';
      at = afterQuoted(value, at);
    } else {
      text += char;
      at += 1;
    }
  }
  return text;
}

function afterQuoted(value: string, start: number): number {
  for (let at = start + 1; at < value.length; at += 1) {
    const char = value.charAt(at);
    if (char === '\\') at += 1;
    else if (char === '"') return at + 1;
  }
  return value.length;
}
