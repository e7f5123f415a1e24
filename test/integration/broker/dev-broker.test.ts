// The broker contract, kept by the development broker.
import { describe } from 'vitest';
import { brokerContract } from './contract.ts';

describe('development broker', () => {
  brokerContract('development');
});
