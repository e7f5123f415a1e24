// What the description of a service is made of.
import type { BrokerAddress } from '../../runtime/amqps.ts';
import type { Authority } from '../instance/authority.ts';
import type { LocalCredentials } from '../instance/credentials.ts';
import type { Service } from '../services/service.ts';
import type { Places } from './places.ts';
import type { StackSettings } from './settings.ts';

export interface Parts {
  readonly settings: StackSettings;
  readonly places: Places;
  readonly credentials: LocalCredentials;
  readonly authority: Authority;
  readonly broker: BrokerAddress & { readonly about: string; readonly service: Service };
}
