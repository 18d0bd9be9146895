import type { Envelope, MessageMeta, Recipient } from '@waypost/mail';
import type { Command, Executor } from '@waypost/redis';

/** Who got a message, kept for longer than its record: what a report that comes late may need. */
export interface Trail extends Pick<Envelope, 'sender'> {
  readonly id: string;
  readonly tenant?: string;
  readonly recipients: readonly Pick<Recipient, 'address' | 'notify'>[];
}

const trailKey = (id: string) => `wp:{${id}}:t`;

/** The trails of messages: about 250 octets of Redis each. */
export class TrailStore {
  constructor(private readonly executor: Executor) {}

  /** @param keep ms; 0 keeps none. @returns the commands that keep a message's trail. */
  put({ id, envelope, origin }: MessageMeta, keep: number): Command[] {
    // Nothing comes back for a null reverse-path, and what becomes of mail from outside is not ours to act upon.
    if (keep <= 0 || envelope.sender === '' || origin.kind === 'mx') return [];
    const kept: Omit<Trail, 'id'> = {
      ...sparse(envelope),
      ...(origin.tenant ? { tenant: origin.tenant } : {}),
    };
    return [{ name: 'set', args: [trailKey(id), JSON.stringify(kept), 'PX', keep] }];
  }

  async read(id: string): Promise<Trail | undefined> {
    const [text] = (await this.executor.exec([{ name: 'get', args: [trailKey(id)] }])) as [string | null];
    return text === null ? undefined : { id, ...(JSON.parse(text) as Omit<Trail, 'id'>) };
  }
}

const sparse = ({ sender, recipients }: Envelope) => ({
  sender,
  recipients: recipients.map(({ address, notify }) => ({ address, ...(notify ? { notify } : {}) })),
});
