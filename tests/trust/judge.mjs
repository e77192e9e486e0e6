// Verifies bundles by @sigstore/verify: reads cases from the first argument (JSON), prints verdicts (name -> error or null).
import crypto from "node:crypto"
import fs from "node:fs"
import { createRequire } from "node:module"

const [, , file, modules] = process.argv
const require = createRequire(`${modules}/`)
const { bundleFromJSON } = require("@sigstore/bundle")
const { TrustedRoot } = require("@sigstore/protobuf-specs")
const { Verifier, toSignedEntity, toTrustMaterial } = require("@sigstore/verify")

function verify(one) {
    const bundle = bundleFromJSON(JSON.parse(fs.readFileSync(one.bundle, "utf8")))
    const root = TrustedRoot.fromJSON(JSON.parse(fs.readFileSync(one.root, "utf8")))
    const key = one.key && crypto.createPublicKey(fs.readFileSync(one.key))
    const material = toTrustMaterial(root, key ? () => ({ publicKey: key, validFor: () => true }) : undefined)
    const artifact = fs.readFileSync(one.artifact)
    const { signer, identity } = new Verifier(material, one.options).verify(toSignedEntity(bundle, artifact))
    if (bundle.content.$case === "dsseEnvelope") {
        const { subject } = JSON.parse(bundle.content.dsseEnvelope.payload.toString())
        const digest = crypto.createHash("sha256").update(artifact).digest("hex")
        if (!subject.some(each => each.digest.sha256 === digest)) throw new Error("another subject")
    }
    if (!key && identity.subjectAlternativeName !== one.identity) throw new Error("another identity")
    if (!key && identity.extensions.issuer !== one.issuer) throw new Error("another issuer")
}

const verdicts = {}
for (const one of JSON.parse(fs.readFileSync(file, "utf8"))) {
    try {
        verify(one)
        verdicts[one.name] = null
    } catch (error) {
        verdicts[one.name] = String(error.message)
    }
}
console.log(JSON.stringify(verdicts))
