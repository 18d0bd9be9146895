// Stores 20 chunks of 64 KiB. Says "half" after ten of them and waits there until it is killed or half a second has
// passed; says "stored" once the put has resolved, and waits again.
import { FsBlobStore } from '@waypost/spool';

const [dir, id] = process.argv.slice(2);
const say = (line) => new Promise((done) => process.stdout.write(`${line}\n`, done));
const blobs = await new FsBlobStore(dir).init();

async function* source() {
  for (let n = 0; n < 20; n += 1) {
    yield Buffer.alloc(65_536, n);
    if (n !== 9) continue;
    await say('half');
    await new Promise((done) => setTimeout(done, 500));
  }
}

await blobs.put(id, source());
await say('stored');
setInterval(() => undefined, 1000);
