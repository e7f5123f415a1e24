// A login, as the secrets of broker, SMTP and FTP server hold it. By itself, so that who only checks one loads no client of AWS.
import * as z from 'zod';

export const credentialsSchema = z.object({ username: z.string().min(1), password: z.string().min(1) });
export type Credentials = z.infer<typeof credentialsSchema>;
