/*
 * schema - objects of Kubernetes against the schemas that were made from its OpenAPI description
 *
 *     schema.mjs < LIST-OF-OBJECTS.json      a line for each that is wrong
 */
import { readFileSync } from "node:fs";

const objects = JSON.parse(readFileSync(0, "utf8"));
const path = {
  v1: "v1",
  "apps/v1": "apps/v1",
  "networking.k8s.io/v1": "networking.k8s.io/v1",
};

for (const object of objects) {
  const kind = `${object.apiVersion} ${object.kind}`;

  try {
    const module = await import(`kubernetes-models/${path[object.apiVersion]}/${object.kind}`);
    const made = new module[object.kind](object);

    made.validate();
  } catch (error) {
    console.log(`${kind} ${object.metadata?.name}: ${error.message}`);
  }
}
