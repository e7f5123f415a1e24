// Starts SQS and DynamoDB as a service of `baton up`.
import { z } from 'zod';
import { runService } from '../service-process.ts';
import { startAwsServices } from './aws.ts';

const port = z.int().min(0).max(65_535);
const settingsSchema = z.strictObject({
  host: z.string().default('127.0.0.1'),
  sqsPort: port,
  dynamodbPort: port,
  region: z.string().min(1),
});

await runService('aws', settingsSchema, startAwsServices);
