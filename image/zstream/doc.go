// Package zstream reads and writes ZFS send streams without ZFS, on any machine and as
// any user: what `zfs send` makes of ZPL file systems, full and incremental, alone and
// in packages (`-R`, `-I`), of any record size, compressed or not, in either byte order.
//
// It does not read encrypted (raw), deduplicated, redacted or resumed streams, nor
// volumes: it refuses them by name, with the record and its offset. It does not replace
// zfs receive: it creates plain files, an index, or a verified copy of the stream.
// A stream is untrusted, and so is every number and name in it.
//
// # Reading
//
//	io.Reader
//	   |  records, checksums              record.go, payload.go, fletcher.go
//	   |  BEGIN, list of a package        begin.go, feature.go, package_list.go, nvlist.go
//	   v
//	streamReader                          read_stream.go
//	   |  a sink for each substream
//	   v
//	snapshotStore: a stage per snapshot   snapshot_store.go, stage.go, stage_fork.go
//	   |  dnodes (object.go), content (content.go, journal.go)
//	   v
//	zpl: master node, directories, files  zpl.go, znode.go
//	   |
//	   +-- Extract: a tree of files       extract.go, extract_tree.go, make_file.go, set_metadata.go
//	   +-- Index: every name              index.go, entry_content.go
//	   +-- CopyVerified: the same stream  copy_verified.go, mount_check.go
//
// Survey and Head (survey.go) stop at streamReader.
//
// Where each record goes:
//
//	BEGIN                 begin.go
//	OBJECT                record_rules.go, check_blocks.go, project_id.go, inherit_object.go
//	WRITE, WRITE_EMBEDDED payload.go, record_rules.go, content.go, decompress.go, lzjb.go
//	SPILL                 record_rules.go, stage.go
//	FREE, FREEOBJECTS     record_rules.go, content.go, object.go
//	END                   record.go, read_stream.go
//
// Where each structure within an object is decoded:
//
//	ZAP                   zap.go, zap_leaf.go, zap_check.go, zap_leaf_check.go
//	system attributes     sa.go; znode_phys_t of ZPL before version 5: znode_phys.go
//	ACL, xattrs, flags    acl.go, xattr.go, flags.go
//	normalised names      normalize.go, normalize_sequence.go, unicode5.go
//
// # Writing
//
// The files that begin with write_ mirror the layers: a tree of files (write_files.go)
// from a directory, an archive or the layers of a container image (write_dir.go,
// write_tar.go, tar_input.go, write_layers.go), its objects (write_zap.go,
// write_zap_leaf.go, write_sa.go), their records (write_record.go), and the package of
// datasets (write.go, write_dataset.go, write_list.go).
//
// Begin with streamReader.readAll in read_stream.go and stage.record in stage.go; the
// names follow OpenZFS's module/zfs/dmu_recv.c.
package zstream
