"""Images of any registry: found, fetched, verified, and laid out as trees. Nothing in them is trusted.

    reference             the name of an image              mirror     the places that stand for a registry
    source                a place that gives bytes by name: registry, layout (and tars of it), archive (docker save)
    http                  requests with retries and limits; hosts and auth: its policy; connect: its sockets
    manifest, config      the documents of an image, checked
    fetch (download)      verified documents and blobs      progress   transfers, shown to a person
    resolve               a reference, per architecture     image      an image in the store
    decompress            a layer's tar, within limits      tar (pax, sparse, tar_fields)   its index
    flatten (directory)   layers laid over each other       layer      layers in the store, and their trees
    pull                  an image into the store           push, artifact   results to a registry, and back
    referrers             signatures of an image, found     attach     artifacts about an image, pushed beside it

Environment: NODEKILN_MIRROR, NODEKILN_OFFLINE, NODEKILN_INSECURE (hosts that speak http), NODEKILN_TRUSTED_HOSTS (hosts
that registries may redirect to although they are not public), NODEKILN_CERTS (a certs.d folder); the usual proxy
variables. NODEKILN_SILENT: hosts that did not answer the process which this one continues.
"""
