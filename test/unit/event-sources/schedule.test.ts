// When a schedule fires, and what its event says.
import { describe, expect, it } from 'vitest';
import { dueInMs, scheduledEvent } from '../../../emulator/event-sources/schedule.ts';

describe('schedule', () => {
  it('fires every 60 s for a day without drift, though every timer is late by up to 40 ms', () => {
    let now = 0;
    let fired = 0;
    const late: number[] = [];
    while (fired < 1_440) {
      now += dueInMs({ elapsed: now, everyMs: 60_000, fired: fired > 0 }) + ((fired * 7) % 41);
      late.push(now - fired * 60_000);
      fired++;
    }
    expect(Math.max(...late)).toBeLessThanOrEqual(40);
  });

  it('a timer that ends a moment too early does not fire the same period twice', () => {
    expect(dueInMs({ elapsed: 59_999, everyMs: 60_000, fired: true })).toBe(60_001);
  });

  it('the first time waits for its delay, and a machine that slept catches nothing up', () => {
    expect(dueInMs({ elapsed: -5_000, everyMs: 60_000, fired: false })).toBe(5_000);
    expect(dueInMs({ elapsed: 10 * 60_000 + 100, everyMs: 60_000, fired: true })).toBe(59_900);
  });

  it("its event has the form of EventBridge's scheduled events", () => {
    const event = scheduledEvent({
      rule: 'baton-tick',
      region: 'eu-central-1',
      at: new Date('2026-11-24T16:00:00.123Z'),
    });
    expect(event).toMatchObject({
      version: '0',
      'detail-type': 'Scheduled Event',
      source: 'aws.events',
      time: '2026-11-24T16:00:00Z',
      region: 'eu-central-1',
      resources: ['arn:aws:events:eu-central-1:000000000000:rule/baton-tick'],
      detail: {},
    });
  });
});
