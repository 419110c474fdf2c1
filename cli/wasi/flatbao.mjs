// Runs the command as a WASI program under Node, with the arguments of the command.
//
//     node flatbao.mjs add notes --tag notes
//
// The module is FLATBAO_MODULE, or flatbao.wasm beside this file, or where `cargo xtask wasm` puts it. The program sees
// the current directory and the directories in FLATBAO_DIRS (absolute, with `:` between them), and nothing else. WASI
// has no locks: unless the arguments say otherwise, nobody keeps other writers out, and nothing is ever deleted
// (`--locking none`).

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WASI } from 'node:wasi';

// `process` is the global one: to import it makes Node open all three streams, and a pipe that it has opened for reading
// does not block, so that a program's input would end where its writer is slower.
const here = dirname(fileURLToPath(import.meta.url));
const places = [join(here, 'flatbao.wasm'), join(here, '../../target/wasm/flatbao.wasm')];
const path = process.env.FLATBAO_MODULE ?? places.find(existsSync) ?? places[0];
const dirs = (process.env.FLATBAO_DIRS ?? '').split(':').filter((dir) => dir !== '');

let args = process.argv.slice(2);
if (!args.some((arg) => arg === '--locking' || arg.startsWith('--locking='))) {
  args = ['--locking', 'none', ...args];
}

const wasi = new WASI({
  version: 'preview1',
  args: ['flatbao', ...args],
  env: {},
  preopens: { '.': process.cwd(), ...Object.fromEntries(dirs.map((dir) => [dir, dir])) },
  returnOnExit: true,
});
// A pipe that does not block would end the program's output where its reader is slower.
for (const stream of [process.stdout, process.stderr]) {
  stream._handle?.setBlocking?.(true);
}
const module = await WebAssembly.compile(await readFile(path));
const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
process.exitCode = wasi.start(instance);
