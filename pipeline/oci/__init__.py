"""Images of any registry: found, fetched, checked and laid out as trees; nothing of what they say is believed.

    reference   the name of an image                     mirror      where a registry's images really come from
    source      a place that gives bytes by name: registry, layout (and tars of it), archive (docker save)
    wire        HTTP; trust and auth are its policy: where to, with whose credentials; connect: the sockets beneath
    manifest, config      the documents of an image, checked
    fetch (arriving)      bytes out of sources into the store, verified  progress   what a person sees of it
    resolve     what a reference means today             image       an image that is in the store
    inflate     a layer uncompressed, within limits      tar (pax, sparse, field)   its index
    flatten (folder)   layers laid over each other       layer       uncompressed into the store, and trees of that
    push        images and build results into a registry

Environment: NODEKILN_MIRROR, NODEKILN_OFFLINE, NODEKILN_INSECURE (hosts that speak http), NODEKILN_TRUSTED_HOSTS (where
registries may send us although it is not public), NODEKILN_CERTS (a certs.d folder); proxies as everywhere.
NODEKILN_SILENT: what did not answer the process that this one goes on for.
"""
