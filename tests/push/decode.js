/*
 * decode - a request of OTLP metrics, by the decoder that OpenTelemetry generated from its proto
 *
 *     decode.js protobuf|json < REQUEST      prints it as JSON: longs are texts
 *
 * Fails with a line when the request is not what the schema says.
 */
"use strict";

const proto = require("@opentelemetry/otlp-transformer/build/src/generated/root").opentelemetry
  .proto;
const Request = proto.collector.metrics.v1.ExportMetricsServiceRequest;
const bytes = require("fs").readFileSync(0);
let message;

if (process.argv[2] === "json") {
  const given = JSON.parse(bytes.toString("utf8"));
  const wrong = Request.verify(Request.fromObject(given));

  if (wrong) {
    throw new Error(wrong);
  }
  message = Request.fromObject(given);
} else {
  message = Request.decode(bytes);
}
process.stdout.write(
  JSON.stringify(Request.toObject(message, { longs: String, enums: Number, arrays: false })),
);
