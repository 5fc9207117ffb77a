"""Images of one's own: from the `[data]` table of a study to a task that workers can open.

    source (folder, Parquet, arrays, ..) -> decoding -> splits -> cache on disk -> task

A cache holds the decoded images as memory-mapped arrays, made once by one process and read by all workers of a machine.
`metamixer.data.cache.prepare` is the whole way; nothing here imports torch.
"""
