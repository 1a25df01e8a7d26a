// Makes the component: `node build.mjs WIT OUT`, where WIT is the repository's `wit/`. The tools want one
// folder with dependencies in `deps`, so the packages are laid out like that first.

import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { componentize } from '@bytecodealliance/componentize-js';

const [wit, out] = process.argv.slice(2);
const dir = mkdtempSync(join(tmpdir(), 'k3s-js-wit-'));
try {
  cpSync(join(wit, 'cni'), dir, { recursive: true });
  for (const name of ['common', 'host', 'net', 'ipam']) {
    mkdirSync(join(dir, 'deps'), { recursive: true });
    cpSync(join(wit, name), join(dir, 'deps', name), { recursive: true });
  }
  const source = readFileSync(new URL('cni.js', import.meta.url), 'utf8');
  // `stdio`, `random` and `clocks` stay on: this component imports WASI and needs the grant.
  const { component } = await componentize(source, {
    sourceName: 'cni.js',
    witPath: dir,
    worldName: 'cni',
    disableFeatures: ['http', 'fetch-event'],
  });
  writeFileSync(out, component);
} finally {
  rmSync(dir, { recursive: true, force: true });
}
