import { decrypt, encrypt } from './cms/envelope.js';
import { sign } from './cms/sign.js';
import { verify } from './cms/verify.js';
import type { Task, TaskResult } from './pool.js';

/** Buffers come into a thread as bare octets. */
const buffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** One task in a worker thread. */
export default async function work(task: Task): Promise<TaskResult[Task['kind']]> {
  if (task.kind === 'sign') {
    const { certificates, key } = task.identity;
    return sign(buffer(task.content), { certificates: certificates.map(buffer), key }, task.detached);
  }
  if (task.kind === 'encrypt') return encrypt(buffer(task.content), task.certificates.map(buffer), task.options);
  if (task.kind === 'decrypt') {
    const openers = task.identities.map(({ certificates: [own], key }) => ({
      certificate: buffer(own as Uint8Array),
      key,
    }));
    return decrypt(buffer(task.cms), openers);
  }
  const { anchors, from } = task.options;
  return verify(buffer(task.cms), task.content && buffer(task.content), { anchors: anchors.map(buffer), from });
}
