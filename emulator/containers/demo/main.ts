// The demo as a container: the shop, which enters itself as a source as soon as somebody leads, asks for the first crawl
// and then only serves its pages.
import { z } from 'zod';
import { tokensSchema } from '../../../contracts/secrets.ts';
import { describeError } from '../../../runtime/failure.ts';
import { createSecrets } from '../../../runtime/secrets.ts';
import { pause } from '../../../runtime/waiting.ts';
import { enterDemo } from '../../instance/demo.ts';
import { runService } from '../../services/service-process.ts';
import { startDemoShop } from '../../services/demo-shop/demo-shop.ts';
import { demoShopUrl, invokeUrlOf, lambdaPlaces, nodes } from '../addresses.ts';
import { mountedUri } from '../mounted.ts';
import { askLeader } from './ask-leader.ts';

const settingsSchema = z.strictObject({ lambda: z.enum(lambdaPlaces) });
const enterTriesMax = 300; // Ten minutes: functions are deployed into an emulator that may still be starting.
const enterAgainMs = 2_000;

await runService('demo-shop', settingsSchema, async ({ lambda }, logger) => {
  const shop = await startDemoShop({
    host: '0.0.0.0',
    port: Number(new URL(demoShopUrl).port),
    publicUrl: demoShopUrl,
    seed: 1,
    driftEveryMs: 2_000,
  });
  const stopping = new AbortController();
  const { editor } = await createSecrets().json(
    mountedUri('tokens.json'),
    tokensSchema.pick({ editor: true }),
  );
  const entering = enter();
  return {
    name: 'demo-shop',
    address: shop.address,
    async close() {
      stopping.abort();
      await entering;
      await shop.close();
    },
  };

  async function enter(): Promise<void> {
    for (let tries = 1; !stopping.signal.aborted; tries++) {
      try {
        await enterDemo({
          shopUrl: demoShopUrl,
          invokeUrl: invokeUrlOf(lambda),
          call: (call) => askLeader(nodes, call, editor),
        });
        logger.info('the demo is entered');
        return;
      } catch (error) {
        if (tries === enterTriesMax) {
          logger.error(`the demo is not entered: ${describeError(error)}`);
          return;
        }
        if (tries % 15 === 0) logger.info(`the demo waits: ${describeError(error)}`);
        await pause(enterAgainMs, stopping.signal);
      }
    }
  }
});
