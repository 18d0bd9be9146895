// Guesses passwords in a process of its own, so that those who log in rightly are not slowed by it:
// `node guesser.js <port> <guesses> <addresses> <guesses a second>`.
import { SmtpDialog } from '@waypost/testkit';

const [port = 0, guesses = 0, addresses = 1, rate = 1] = process.argv.slice(2).map(Number);
/** Guesses that one connection makes at most, as Waypost ends it after so many. */
const PER_CONNECTION = 3;

const counts = { guessed: 0, turnedAway: 0, lost: 0 };
const started = performance.now();
let next = 0;

/** One connection: it guesses until it is closed. @returns guesses it made, one at least. */
async function guess(address: string): Promise<number> {
  let made = 0;
  try {
    const dialog = await SmtpDialog.open(port, address);
    if ((await dialog.reply()).startsWith('220')) {
      await dialog.say('EHLO guess.test');
      while (made < PER_CONNECTION) {
        const secret = Buffer.from(`\0admin\0guess-${Math.random()}`).toString('base64');
        const reply = await dialog.say(`AUTH PLAIN ${secret}`);
        if (!reply.startsWith('535') && !reply.startsWith('421')) break;
        made += 1;
        counts.guessed += 1;
        if (reply.startsWith('421')) break;
      }
    } else {
      made = 1;
      counts.turnedAway += 1;
    }
    dialog.close();
  } catch {
    counts.lost += 1;
  }
  return Math.max(1, made);
}

const open = new Set<Promise<unknown>>();
for (let at = 0; next < guesses; at += 1) {
  const due = started + (next / rate) * 1000;
  if (due > performance.now()) await new Promise((resolve) => setTimeout(resolve, due - performance.now()));
  const host = at % addresses;
  next += 1;
  const one = guess(`127.1.${host >> 8}.${(host & 255) + 1}`).then((made) => {
    next += made - 1;
    open.delete(one);
  });
  open.add(one);
}
await Promise.all(open);
process.stdout.write(JSON.stringify(counts));
