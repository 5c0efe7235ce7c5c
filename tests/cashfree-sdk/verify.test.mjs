// Compares our verdicts on signed webhooks with those of Cashfree's own SDK.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

import sdk from 'cashfree-pg';

/** `[{ body, timestamp, signature, secret, isAccepted }]`, written by `local/tests/cashfree_sdk.rs`. */
const cases = JSON.parse(readFileSync(process.env.CASES, 'utf8'));

test("our verdict on each webhook is the SDK's", () => {
  const disputed = cases.filter((webhook) => isAcceptedBySdk(webhook) !== webhook.isAccepted);
  assert.deepEqual(disputed, []);
});

function isAcceptedBySdk({ body, timestamp, signature, secret }) {
  // The last argument keeps the SDK from reporting errors to its vendor.
  const cashfree = new sdk.Cashfree(sdk.CFEnvironment.SANDBOX, 'id', secret, '', '', '', false);
  try {
    cashfree.PGVerifyWebhookSignature(signature, body, timestamp);
    return true;
  } catch (error) {
    // Any other error is one of this test.
    assert.match(error.message, /signature did not match/);
    return false;
  }
}
