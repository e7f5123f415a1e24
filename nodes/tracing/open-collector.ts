// The collector that the environment names, or none: then nothing of what speaks to one is loaded.
import type { Environment } from '../../contracts/environment.ts';
import type { Secrets } from '../../runtime/secrets.ts';
import type { SpanSender } from './trace-export.ts';

export async function openNamedCollector(
  environment: Pick<
    Environment<'node'>,
    | 'BATON_CLUSTER'
    | 'BATON_NODE_ID'
    | 'OTEL_EXPORTER_OTLP_ENDPOINT'
    | 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'
    | 'OTEL_EXPORTER_OTLP_HEADERS_URI'
  >,
  secrets: Pick<Secrets, 'text'>,
): Promise<SpanSender | undefined> {
  const base = environment.OTEL_EXPORTER_OTLP_ENDPOINT?.replace(/\/+$/, '');
  const url = environment.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? (base && `${base}/v1/traces`);
  if (url === undefined) return undefined;
  const { openCollector } = await import('./otlp.ts');
  const headersUri = environment.OTEL_EXPORTER_OTLP_HEADERS_URI;
  return openCollector({
    url,
    headers: headersUri === undefined ? undefined : () => secrets.text(headersUri),
    cluster: environment.BATON_CLUSTER,
    nodeId: environment.BATON_NODE_ID,
  });
}
