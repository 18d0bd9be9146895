import { open } from 'node:fs/promises';
import { type Network, parseNetwork } from '../ip.js';

/** Longer files, and lines, are no lists of networks. */
const LONGEST_FILE = 256 * 1024 * 1024;
const MOST_LINES = 5_000_000;
/** Lines read before others may have their turn. */
const TURN = 5_000;

/**
 * Reads networks from a file: one a line, `#` and `;` begin comments.
 * @throws Error that names the file and the line which is wrong.
 */
export async function readNetworks(file: string): Promise<Network[]> {
  const handle = await open(file).catch((error: Error) => {
    throw new Error(`${file} cannot be read: ${error.message}`);
  });
  try {
    const { size } = await handle.stat();
    if (size > LONGEST_FILE) throw new Error(`${file} has ${size} octets; ${LONGEST_FILE} are the most`);
    const networks: Network[] = [];
    let number = 0;
    for await (const line of handle.readLines({ encoding: 'utf8' })) {
      number += 1;
      if (number > MOST_LINES) throw new Error(`${file} has more than ${MOST_LINES} lines`);
      const text = line.replace(/[#;].*$/, '').trim();
      if (text !== '') networks.push(parseLine(text, `${file}, line ${number}`));
      if (number % TURN === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    return networks;
  } finally {
    await handle.close();
  }
}

function parseLine(text: string, at: string): Network {
  const network = parseNetwork(text);
  if (!network) throw new Error(`${at}: "${text.slice(0, 60)}" is no network`);
  if (network.bits === 0) throw new Error(`${at}: "${text}" is everybody`);
  return network;
}
