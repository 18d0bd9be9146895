import { type Packet, readTexts } from './milter-wire.js';

/** What a milter does with a message, or with one recipient of it. */
export type MilterAction = 'pass' | 'reject' | 'tempfail' | 'discard' | 'quarantine';

export interface HeaderChange {
  readonly name: string;
  /** Which of the fields of that name, from 1. */
  readonly index: number;
  /** Empty to take it out. */
  readonly value: string;
}

export interface MilterVerdict {
  readonly action: MilterAction;
  /** The reply in the milter's words, or why it is in quarantine. */
  readonly text?: string;
  /** Indexes of recipients it refused alone. */
  readonly refused: readonly { readonly i: number; readonly action: 'reject' | 'tempfail'; readonly text?: string }[];
  readonly add: readonly { readonly name: string; readonly value: string }[];
  readonly change: readonly HeaderChange[];
}

/** An answer to one step. `go` lets the next step come, `done` needs none, `skip` wants no more of the body. */
export type StepAnswer =
  | { readonly kind: 'go' | 'done' | 'skip' }
  | { readonly kind: 'ends'; readonly action: 'reject' | 'tempfail' | 'discard'; readonly text?: string };

/** @returns undefined for a packet that is no answer, such as a sign of life. */
export function readStep({ code, data }: Packet): StepAnswer | undefined {
  if (code === 'c') return { kind: 'go' };
  if (code === 'a') return { kind: 'done' };
  if (code === 's') return { kind: 'skip' };
  if (code === 'd') return { kind: 'ends', action: 'discard' };
  if (code === 'r') return { kind: 'ends', action: 'reject' };
  if (code === 't') return { kind: 'ends', action: 'tempfail' };
  if (code !== 'y') return undefined;
  const [text = ''] = readTexts(data);
  return { kind: 'ends', action: text.startsWith('4') ? 'tempfail' : 'reject', text };
}

/** What a milter asked to be changed at the end of the message. */
export interface Changes {
  readonly add: { name: string; value: string }[];
  readonly change: HeaderChange[];
  quarantine: string | undefined;
}

const MOST_CHANGES = 200;
const FIELD_NAME = /^[!-9;-~]{1,76}$/;

/** Takes note of a change. @throws Error for one that was not offered, or too many of them. */
export function noteChange({ code, data }: Packet, changes: Changes): void {
  if (code === 'p') return;
  if (changes.add.length + changes.change.length >= MOST_CHANGES) throw new Error('too many changes are asked for');
  if (code === 'q') {
    changes.quarantine = readTexts(data)[0] ?? '';
  } else if (code === 'h' || code === 'i') {
    const [name = '', value = ''] = readTexts(code === 'h' ? data : data.subarray(4));
    if (FIELD_NAME.test(name)) changes.add.push({ name, value });
  } else if (code === 'm' && data.length > 4) {
    const [name = '', value = ''] = readTexts(data.subarray(4));
    if (FIELD_NAME.test(name)) changes.change.push({ name, index: data.readUInt32BE(0), value });
  } else {
    throw new Error(`a packet "${code}" was not asked for`);
  }
}
