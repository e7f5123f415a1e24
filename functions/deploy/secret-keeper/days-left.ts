// How long each certificate is still good, as CloudWatch reads it from a log: embedded metric format,
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

/** One line for each certificate: the alarm looks at the least of all, the dashboard at each. */
export function daysLeftLines(
  daysLeft: Readonly<Record<string, number>>,
  { namespace, now }: { namespace: string; now: number },
): object[] {
  return Object.entries(daysLeft).map(([certificate, days]) => ({
    _aws: {
      Timestamp: now,
      CloudWatchMetrics: [
        {
          Namespace: namespace,
          Dimensions: [[], ['Certificate']],
          Metrics: [{ Name: 'CertificateDaysLeft', Unit: 'Count' }],
        },
      ],
    },
    Certificate: certificate,
    CertificateDaysLeft: days,
  }));
}
