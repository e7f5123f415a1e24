// Ends a run of a crawl that can go on later from what is stored: something beyond the shop is full, away or out of time.
export class Pause extends Error {}
