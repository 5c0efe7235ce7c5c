// A Chromium for these tests: `CHROMIUM`, or the one of the npm package, which needs no root.

import packaged from '@sparticuz/chromium';
import { chromium } from 'playwright-core';

/** No sandbox: tests may run as root. Nothing in the background: some machines have no network. */
const ARGUMENTS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export async function launch() {
  const executablePath = process.env.CHROMIUM || (await packaged.executablePath());
  return chromium.launch({ executablePath, args: ARGUMENTS });
}
