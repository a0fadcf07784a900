-- What a node is worth, as core.Hardware says it: candidates come cheapest first.

-- +goose Up
ALTER TABLE nodes ADD COLUMN worth TEXT NOT NULL DEFAULT '';
UPDATE nodes SET worth = (
    SELECT printf('%03d %06d %05d %06d',
        coalesce(json_array_length(hardware, '$.gpus'), 0),
        coalesce(json_extract(hardware, '$.memory'), 0) / 1073741824,
        coalesce(json_extract(hardware, '$.cpus'), 0),
        (SELECT coalesce(sum(json_extract(d.value, '$.size')), 0) FROM json_each(hardware, '$.disks') d
         WHERE NOT coalesce(json_extract(d.value, '$.removable'), 0)) / 100000000000)
    FROM inventory i WHERE i.seq = nodes.seq);
DROP INDEX nodes_by_state;
CREATE INDEX nodes_by_state ON nodes (state, pool, worth);
