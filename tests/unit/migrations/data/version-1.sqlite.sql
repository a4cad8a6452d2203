-- A cloud of version 1 (commit 71d6f19) with one of everything; SQLite. Frozen.
BEGIN TRANSACTION;
CREATE TABLE host (
	id INTEGER NOT NULL, 
	uuid VARCHAR(36) NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	address VARCHAR(64) NOT NULL, 
	port INTEGER NOT NULL, 
	boot VARCHAR(36) NOT NULL, 
	heartbeat BIGINT NOT NULL, 
	cpu_model VARCHAR(255) NOT NULL, 
	cores INTEGER NOT NULL, 
	memory BIGINT NOT NULL, 
	max_vcpus INTEGER NOT NULL, 
	max_memory BIGINT NOT NULL, 
	architecture VARCHAR(32) NOT NULL, 
	accelerator VARCHAR(32) NOT NULL, 
	accelerator_reason VARCHAR(255) NOT NULL, 
	libvirt_version VARCHAR(32) NOT NULL, 
	qemu_version VARCHAR(32) NOT NULL, 
	kernel VARCHAR(64) NOT NULL, 
	hypervisor_error TEXT NOT NULL, 
	cpu_percent DOUBLE NOT NULL, 
	memory_percent DOUBLE NOT NULL, 
	disk_percent DOUBLE NOT NULL, 
	network_rate DOUBLE NOT NULL, 
	charges BIGINT NOT NULL, 
	created DATETIME NOT NULL, 
	version INTEGER NOT NULL, 
	CONSTRAINT pk_host PRIMARY KEY (id), 
	CONSTRAINT uq_host_uuid UNIQUE (uuid), 
	CONSTRAINT uq_host_name UNIQUE (name)
);
INSERT INTO "host" VALUES(1,'fe8301aa-d5e1-4e9f-a567-e6fe8c9b70b5','web-host','192.0.2.1',5555,'',0,'',16,68719476736,64,68182605824,'x86_64','tcg','','','','','',0.0,0.0,0.0,0.0,0,'2026-11-25 13:07:47.725727',0);
INSERT INTO "host" VALUES(2,'e5675d99-b43f-4799-8b68-42a555e13cc4','shop-host','192.0.2.1',5555,'',0,'',16,68719476736,64,68182605824,'x86_64','tcg','','','','','',0.0,0.0,0.0,0.0,0,'2026-11-25 13:07:47.805626',0);
CREATE TABLE host_group (
	id INTEGER NOT NULL, 
	uuid VARCHAR(36) NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	description TEXT NOT NULL, 
	created DATETIME NOT NULL, 
	version INTEGER NOT NULL, 
	CONSTRAINT pk_host_group PRIMARY KEY (id), 
	CONSTRAINT uq_host_group_uuid UNIQUE (uuid), 
	CONSTRAINT uq_host_group_name UNIQUE (name)
);
INSERT INTO "host_group" VALUES(1,'701b3bee-bbe0-4c2d-9029-c8d9100d4566','web-hosts','','2026-11-25 13:07:47.736388',0);
INSERT INTO "host_group" VALUES(2,'4cb9192a-ade2-4845-80f8-ac4e63628f15','shop-hosts','','2026-11-25 13:07:47.808191',0);
CREATE TABLE host_group_of_project (
	group_id INTEGER NOT NULL, 
	project_id INTEGER NOT NULL, 
	CONSTRAINT pk_host_group_of_project PRIMARY KEY (group_id, project_id), 
	CONSTRAINT fk_host_group_of_project_group_id FOREIGN KEY(group_id) REFERENCES host_group (id) ON DELETE CASCADE, 
	CONSTRAINT fk_host_group_of_project_project_id FOREIGN KEY(project_id) REFERENCES project (id) ON DELETE CASCADE
);
INSERT INTO "host_group_of_project" VALUES(1,1);
INSERT INTO "host_group_of_project" VALUES(2,2);
CREATE TABLE host_in_group (
	group_id INTEGER NOT NULL, 
	host_id INTEGER NOT NULL, 
	CONSTRAINT pk_host_in_group PRIMARY KEY (group_id, host_id), 
	CONSTRAINT fk_host_in_group_group_id FOREIGN KEY(group_id) REFERENCES host_group (id) ON DELETE CASCADE, 
	CONSTRAINT fk_host_in_group_host_id FOREIGN KEY(host_id) REFERENCES host (id) ON DELETE CASCADE
);
INSERT INTO "host_in_group" VALUES(1,1);
INSERT INTO "host_in_group" VALUES(2,2);
CREATE TABLE host_sample (
	id INTEGER NOT NULL, 
	host_id INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	cpu_percent DOUBLE NOT NULL, 
	memory_percent DOUBLE NOT NULL, 
	disk_percent DOUBLE NOT NULL, 
	network_rate DOUBLE NOT NULL, 
	CONSTRAINT pk_host_sample PRIMARY KEY (id), 
	CONSTRAINT fk_host_sample_host_id FOREIGN KEY(host_id) REFERENCES host (id) ON DELETE CASCADE
);
INSERT INTO "host_sample" VALUES(1,2,'2026-11-25 12:00:00.123456',0.0,40.0,7.25,1000000.0);
INSERT INTO "host_sample" VALUES(2,2,'2026-11-25 12:01:00.123456',1.5,40.0,7.25,1000000.0);
INSERT INTO "host_sample" VALUES(3,2,'2026-11-25 12:02:00.123456',3.0,40.0,7.25,1000000.0);
CREATE TABLE image (
	id INTEGER NOT NULL, 
	uuid VARCHAR(36) NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	group_id INTEGER NOT NULL, 
	project_id INTEGER NOT NULL, 
	file VARCHAR(255) NOT NULL, 
	format VARCHAR(32) NOT NULL, 
	architecture VARCHAR(32) NOT NULL, 
	shared BOOLEAN NOT NULL, 
	read_only BOOLEAN NOT NULL, 
	size BIGINT NOT NULL, 
	virtual_size BIGINT NOT NULL, 
	state VARCHAR(32) NOT NULL, 
	description TEXT NOT NULL, 
	created DATETIME NOT NULL, 
	version INTEGER NOT NULL, 
	CONSTRAINT pk_image PRIMARY KEY (id), 
	CONSTRAINT uq_image_group_id UNIQUE (group_id, file), 
	CONSTRAINT uq_image_uuid UNIQUE (uuid), 
	CONSTRAINT fk_image_group_id FOREIGN KEY(group_id) REFERENCES project_group (id), 
	CONSTRAINT fk_image_project_id FOREIGN KEY(project_id) REFERENCES project (id)
);
INSERT INTO "image" VALUES(1,'20629b20-183f-4c5f-98b8-67e54d154da6','web-image',1,1,'a.iso','iso','',0,1,0,0,'present','','2026-11-25 13:07:47.742325',0);
INSERT INTO "image" VALUES(2,'d2060610-f505-4f78-9a2b-9c525940427b','shop-image',2,2,'a.iso','iso','',0,1,0,0,'present','','2026-11-25 13:07:47.811270',0);
CREATE TABLE instance (
	id INTEGER NOT NULL, 
	uuid VARCHAR(36) NOT NULL, 
	project_id INTEGER NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	display_name VARCHAR(64) NOT NULL, 
	spec TEXT NOT NULL, 
	vcpus INTEGER NOT NULL, 
	memory BIGINT NOT NULL, 
	"unique" BOOLEAN NOT NULL, 
	enabled BOOLEAN NOT NULL, 
	host_id INTEGER, 
	host_group_id INTEGER, 
	created DATETIME NOT NULL, 
	version INTEGER NOT NULL, 
	CONSTRAINT pk_instance PRIMARY KEY (id), 
	CONSTRAINT uq_instance_project_id UNIQUE (project_id, name), 
	CONSTRAINT uq_instance_uuid UNIQUE (uuid), 
	CONSTRAINT fk_instance_project_id FOREIGN KEY(project_id) REFERENCES project (id), 
	CONSTRAINT fk_instance_host_id FOREIGN KEY(host_id) REFERENCES host (id), 
	CONSTRAINT fk_instance_host_group_id FOREIGN KEY(host_group_id) REFERENCES host_group (id)
);
INSERT INTO "instance" VALUES(1,'2629276e-e1d9-47c1-bc19-2c5673623e9c',1,'web-instance','','{"vcpus":1,"memory":67108864,"architecture":"x86_64","accelerator":"auto","machine":"pc","boot":["hd","cdrom"],"boot_menu":false,"boot_menu_timeout":3000,"bios_serial":false,"reboot_timeout":-1,"tablet":true,"disks":[{"device":"disk","volume":"89b88040-d09f-4541-994c-bf4e98ded0be","image":"","bus":"","target":"","read_only":false,"cache":"default","copy_on_read":false,"startup_policy":"mandatory","tray":"closed","removable":false},{"device":"cdrom","volume":"","image":"20629b20-183f-4c5f-98b8-67e54d154da6","bus":"","target":"","read_only":false,"cache":"default","copy_on_read":false,"startup_policy":"mandatory","tray":"closed","removable":false}],"graphics":[{"type":"vnc","port":0,"listen":"","password":"","password_valid_to":"","keep_connected":false,"sharing":"allow-exclusive","tls_port":0,"default_mode":"any","channels":[],"image_compression":"","jpeg":"","zlib":"","playback":true,"streaming":"","file_transfer":true}],"host":"","host_group":"","tuning_xml":"","devices_xml":""}',1,67108864,1,1,NULL,NULL,'2026-11-25 13:07:47.745745',0);
INSERT INTO "instance" VALUES(2,'903ebb89-6ad2-49ab-be90-3a76db0ee595',2,'shop-instance','','{"vcpus":1,"memory":67108864,"architecture":"x86_64","accelerator":"auto","machine":"pc","boot":["hd","cdrom"],"boot_menu":false,"boot_menu_timeout":3000,"bios_serial":false,"reboot_timeout":-1,"tablet":true,"disks":[{"device":"disk","volume":"4e93e4cf-0b25-4e0c-aa3d-8eaf22fe1689","image":"","bus":"","target":"","read_only":false,"cache":"default","copy_on_read":false,"startup_policy":"mandatory","tray":"closed","removable":false},{"device":"cdrom","volume":"","image":"d2060610-f505-4f78-9a2b-9c525940427b","bus":"","target":"","read_only":false,"cache":"default","copy_on_read":false,"startup_policy":"mandatory","tray":"closed","removable":false}],"graphics":[{"type":"vnc","port":0,"listen":"","password":"","password_valid_to":"","keep_connected":false,"sharing":"allow-exclusive","tls_port":0,"default_mode":"any","channels":[],"image_compression":"","jpeg":"","zlib":"","playback":true,"streaming":"","file_transfer":true}],"host":"","host_group":"","tuning_xml":"","devices_xml":""}',1,67108864,1,1,NULL,NULL,'2026-11-25 13:07:47.812121',0);
CREATE TABLE instance_image (
	instance_id INTEGER NOT NULL, 
	image_id INTEGER NOT NULL, 
	CONSTRAINT pk_instance_image PRIMARY KEY (instance_id, image_id), 
	CONSTRAINT fk_instance_image_instance_id FOREIGN KEY(instance_id) REFERENCES instance (id) ON DELETE CASCADE, 
	CONSTRAINT fk_instance_image_image_id FOREIGN KEY(image_id) REFERENCES image (id)
);
INSERT INTO "instance_image" VALUES(1,1);
INSERT INTO "instance_image" VALUES(2,2);
CREATE TABLE instance_volume (
	instance_id INTEGER NOT NULL, 
	volume_id INTEGER NOT NULL, 
	CONSTRAINT pk_instance_volume PRIMARY KEY (instance_id, volume_id), 
	CONSTRAINT fk_instance_volume_instance_id FOREIGN KEY(instance_id) REFERENCES instance (id) ON DELETE CASCADE, 
	CONSTRAINT fk_instance_volume_volume_id FOREIGN KEY(volume_id) REFERENCES volume (id)
);
INSERT INTO "instance_volume" VALUES(1,1);
INSERT INTO "instance_volume" VALUES(2,2);
CREATE TABLE login_log (
	id INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	account VARCHAR(64) NOT NULL, 
	address VARCHAR(64) NOT NULL, 
	outcome VARCHAR(32) NOT NULL, 
	CONSTRAINT pk_login_log PRIMARY KEY (id)
);
INSERT INTO "login_log" VALUES(1,'2026-01-31 12:00:00.000000','sysadm','192.0.2.7','right');
CREATE TABLE machine (
	id INTEGER NOT NULL, 
	uuid VARCHAR(36) NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	project_id INTEGER NOT NULL, 
	instance_id INTEGER NOT NULL, 
	host_id INTEGER, 
	power VARCHAR(32) NOT NULL, 
	state VARCHAR(32) NOT NULL, 
	epoch INTEGER NOT NULL, 
	accelerator VARCHAR(32) NOT NULL, 
	vnc_port INTEGER, 
	spice_port INTEGER, 
	screen_address VARCHAR(64) NOT NULL, 
	start_error TEXT NOT NULL, 
	started DATETIME, 
	created DATETIME NOT NULL, 
	version INTEGER NOT NULL, 
	CONSTRAINT pk_machine PRIMARY KEY (id), 
	CONSTRAINT uq_machine_project_id UNIQUE (project_id, name), 
	CONSTRAINT uq_machine_uuid UNIQUE (uuid), 
	CONSTRAINT fk_machine_project_id FOREIGN KEY(project_id) REFERENCES project (id), 
	CONSTRAINT fk_machine_instance_id FOREIGN KEY(instance_id) REFERENCES instance (id), 
	CONSTRAINT fk_machine_host_id FOREIGN KEY(host_id) REFERENCES host (id)
);
INSERT INTO "machine" VALUES(1,'8e88eb88-b251-40f2-87b7-af011175c739','web-vm',1,1,NULL,'off','off',0,'',NULL,NULL,'','',NULL,'2026-11-25 13:07:47.749834',0);
INSERT INTO "machine" VALUES(2,'a6d9e807-b1ee-48a5-a6ba-26f66f857647','shop-vm',2,2,NULL,'off','off',0,'',NULL,NULL,'','',NULL,'2026-11-25 13:07:47.812896',0);
CREATE TABLE operation_log (
	id INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	account VARCHAR(64) NOT NULL, 
	address VARCHAR(64) NOT NULL, 
	action VARCHAR(32) NOT NULL, 
	operation VARCHAR(64) NOT NULL, 
	target VARCHAR(255) NOT NULL, 
	detail TEXT NOT NULL, 
	request VARCHAR(36) NOT NULL, 
	result TEXT NOT NULL, 
	CONSTRAINT pk_operation_log PRIMARY KEY (id), 
	CONSTRAINT uq_operation_log_request UNIQUE (request)
);
INSERT INTO "operation_log" VALUES(1,'2026-01-31 12:00:00.000000','sysadm','192.0.2.7','Add','project-group.add','web-group','{"object": "02148fe7-4f61-48a4-b7e2-2645486a4e4a", "directory": "/srv/dosvm-test/web"}','c152f180-4986-4cab-b0ce-341720c958e1','{"uuid": "02148fe7-4f61-48a4-b7e2-2645486a4e4a", "name": "web-group", "directory": "/srv/dosvm-test/web", "description": "", "projects": [], "created": "2026-01-31T12:00:00", "version": 0}');
INSERT INTO "operation_log" VALUES(2,'2026-01-31 12:00:00.000000','sysadm','192.0.2.7','Add','project.add','web','{"object": "8a63aa6a-4534-4e9b-8905-4f8777666428", "group": "web-group"}','f5badfec-609f-4424-aa50-8a23a55d77e6','{"uuid": "8a63aa6a-4534-4e9b-8905-4f8777666428", "name": "web", "description": "", "active": true, "state": "active", "groups": ["web-group"], "admins": [], "pools": [], "host_groups": [], "max_instances": 0, "max_vcpus": 0, "max_memory": 0, "max_disk": 0, "max_images": 0, "max_image_bytes": 0, "max_snapshots": 0, "created": "2026-01-31T12:00:00", "version": 0}');
INSERT INTO "operation_log" VALUES(3,'2026-01-31 12:00:00.000000','sysadm','192.0.2.7','Configure','project.configure','web','{"object": "8a63aa6a-4534-4e9b-8905-4f8777666428", "version": 1, "changes": {"max_instances": [0, 100], "max_vcpus": [0, 100], "max_memory": [0, 107374182400], "max_disk": [0, 1073741824000], "max_images": [0, 100], "max_image_bytes": [0, 107374182400], "max_snapshots": [0, 100]}}','fce94a00-ed6b-487e-8900-d4b6cbbba7af','{"uuid": "8a63aa6a-4534-4e9b-8905-4f8777666428", "name": "web", "description": "", "active": true, "state": "active", "groups": ["web-group"], "admins": [], "pools": [], "host_groups": [], "max_instances": 100, "max_vcpus": 100, "max_memory": 107374182400, "max_disk": 1073741824000, "max_images": 100, "max_image_bytes": 107374182400, "max_snapshots": 100, "created": "2026-01-31T12:00:00", "version": 1}');
INSERT INTO "operation_log" VALUES(4,'2026-01-31 12:00:00.000000','sysadm','192.0.2.7','Add','user.add','web-admin','{"object": "e20de5e5-bb90-4cb9-bd39-cbdc421b13d2", "project": "web"}','aeed5bef-931d-482c-aa1d-515a1e0c97cc','{"uuid": "e20de5e5-bb90-4cb9-bd39-cbdc421b13d2", "name": "web-admin", "account": "web-admin", "display_name": "", "role": "project", "project": "web", "phone": "", "email": "", "address": "", "description": "", "frozen": false, "created": "2026-01-31T12:00:00", "version": 0}');
INSERT INTO "operation_log" VALUES(5,'2026-01-31 12:00:00.000000','sysadm','192.0.2.7','Add','project-group.add','shop-group','{"object": "721d9cf9-bd4d-4b81-87eb-14925ffeb1a6", "directory": "/srv/dosvm-test/shop"}','ae09fc47-ae2d-4920-a89b-fe357a858302','{"uuid": "721d9cf9-bd4d-4b81-87eb-14925ffeb1a6", "name": "shop-group", "directory": "/srv/dosvm-test/shop", "description": "", "projects": [], "created": "2026-01-31T12:00:00", "version": 0}');
INSERT INTO "operation_log" VALUES(6,'2026-01-31 12:00:00.000000','sysadm','192.0.2.7','Add','project.add','shop','{"object": "90460be5-814e-4dce-befe-7227c3817caa", "group": "shop-group"}','11588e1b-a4dd-4120-8bd2-9469d3090f5f','{"uuid": "90460be5-814e-4dce-befe-7227c3817caa", "name": "shop", "description": "", "active": true, "state": "active", "groups": ["shop-group"], "admins": [], "pools": [], "host_groups": [], "max_instances": 0, "max_vcpus": 0, "max_memory": 0, "max_disk": 0, "max_images": 0, "max_image_bytes": 0, "max_snapshots": 0, "created": "2026-01-31T12:00:00", "version": 0}');
INSERT INTO "operation_log" VALUES(7,'2026-01-31 12:00:00.000000','sysadm','192.0.2.7','Configure','project.configure','shop','{"object": "90460be5-814e-4dce-befe-7227c3817caa", "version": 1, "changes": {"max_instances": [0, 100], "max_vcpus": [0, 100], "max_memory": [0, 107374182400], "max_disk": [0, 1073741824000], "max_images": [0, 100], "max_image_bytes": [0, 107374182400], "max_snapshots": [0, 100]}}','eddf2a7d-9229-4a22-8727-b84942b55a1d','{"uuid": "90460be5-814e-4dce-befe-7227c3817caa", "name": "shop", "description": "", "active": true, "state": "active", "groups": ["shop-group"], "admins": [], "pools": [], "host_groups": [], "max_instances": 100, "max_vcpus": 100, "max_memory": 107374182400, "max_disk": 1073741824000, "max_images": 100, "max_image_bytes": 107374182400, "max_snapshots": 100, "created": "2026-01-31T12:00:00", "version": 1}');
INSERT INTO "operation_log" VALUES(8,'2026-01-31 12:00:00.000000','sysadm','192.0.2.7','Add','user.add','shop-admin','{"object": "b4c85270-fa7f-4fdf-bff0-45fd144adba2", "project": "shop"}','59756677-0e13-4db9-8009-5e32d567818d','{"uuid": "b4c85270-fa7f-4fdf-bff0-45fd144adba2", "name": "shop-admin", "account": "shop-admin", "display_name": "", "role": "project", "project": "shop", "phone": "", "email": "", "address": "", "description": "", "frozen": false, "created": "2026-01-31T12:00:00", "version": 0}');
INSERT INTO "operation_log" VALUES(9,'2026-01-31 12:00:00.000000','sysadm','192.0.2.7','Add','project-group.add','closed-group','{"object": "a7bec1a8-7061-4d7a-aa0c-fc9efd2d5413", "directory": "/srv/dosvm-test/closed"}','4230c404-e626-4000-9461-fcdbce95cfe5','{"uuid": "a7bec1a8-7061-4d7a-aa0c-fc9efd2d5413", "name": "closed-group", "directory": "/srv/dosvm-test/closed", "description": "", "projects": [], "created": "2026-01-31T12:00:00", "version": 0}');
INSERT INTO "operation_log" VALUES(10,'2026-01-31 12:00:00.000000','sysadm','192.0.2.7','Add','project.add','closed','{"object": "3555b5a7-a425-41d1-ae72-ca6af17b2e8e", "group": "closed-group"}','b3a3fa22-498b-4f1e-91ab-73834887851f','{"uuid": "3555b5a7-a425-41d1-ae72-ca6af17b2e8e", "name": "closed", "description": "", "active": true, "state": "active", "groups": ["closed-group"], "admins": [], "pools": [], "host_groups": [], "max_instances": 0, "max_vcpus": 0, "max_memory": 0, "max_disk": 0, "max_images": 0, "max_image_bytes": 0, "max_snapshots": 0, "created": "2026-01-31T12:00:00", "version": 0}');
INSERT INTO "operation_log" VALUES(11,'2026-01-31 12:00:00.000000','sysadm','192.0.2.7','Configure','project.configure','closed','{"object": "3555b5a7-a425-41d1-ae72-ca6af17b2e8e", "version": 1, "changes": {"max_instances": [0, 100], "max_vcpus": [0, 100], "max_memory": [0, 107374182400], "max_disk": [0, 1073741824000], "max_images": [0, 100], "max_image_bytes": [0, 107374182400], "max_snapshots": [0, 100]}}','d37a8c0b-b3a4-45f8-8b22-8039730b955f','{"uuid": "3555b5a7-a425-41d1-ae72-ca6af17b2e8e", "name": "closed", "description": "", "active": true, "state": "active", "groups": ["closed-group"], "admins": [], "pools": [], "host_groups": [], "max_instances": 100, "max_vcpus": 100, "max_memory": 107374182400, "max_disk": 1073741824000, "max_images": 100, "max_image_bytes": 107374182400, "max_snapshots": 100, "created": "2026-01-31T12:00:00", "version": 1}');
INSERT INTO "operation_log" VALUES(12,'2026-01-31 12:00:00.000000','sysadm','192.0.2.7','Add','user.add','idle','{"object": "01d63dba-2a8f-408b-9c1b-ae71e4baa24d", "project": "closed"}','91c45715-452b-4070-81be-ecbc246ef799','{"uuid": "01d63dba-2a8f-408b-9c1b-ae71e4baa24d", "name": "idle", "account": "idle", "display_name": "", "role": "project", "project": "closed", "phone": "", "email": "", "address": "", "description": "", "frozen": false, "created": "2026-01-31T12:00:00", "version": 0}');
INSERT INTO "operation_log" VALUES(13,'2026-01-31 12:00:00.000000','sysadm','192.0.2.7','Deactivate','project.deactivate','closed','{"object": "3555b5a7-a425-41d1-ae72-ca6af17b2e8e", "version": 2, "changes": {"active": [true, false]}}','96976b2a-3bbe-47ab-a2fd-474b797ce4b1','{"uuid": "3555b5a7-a425-41d1-ae72-ca6af17b2e8e", "name": "closed", "description": "", "active": false, "state": "inactive", "groups": ["closed-group"], "admins": ["idle"], "pools": [], "host_groups": [], "max_instances": 100, "max_vcpus": 100, "max_memory": 107374182400, "max_disk": 1073741824000, "max_images": 100, "max_image_bytes": 107374182400, "max_snapshots": 100, "created": "2026-01-31T12:00:00", "version": 2}');
INSERT INTO "operation_log" VALUES(14,'2026-01-31 12:00:00.000000','sysadm','192.0.2.7','Add','user.add','homeless','{"object": "7b33d5ca-55f6-4e7a-b2d8-159d6723055d", "project": ""}','5d77a82d-31d1-455c-90ee-1d0c8750021d','{"uuid": "7b33d5ca-55f6-4e7a-b2d8-159d6723055d", "name": "homeless", "account": "homeless", "display_name": "", "role": "project", "project": "", "phone": "", "email": "", "address": "", "description": "", "frozen": false, "created": "2026-01-31T12:00:00", "version": 0}');
INSERT INTO "operation_log" VALUES(15,'2026-01-31 12:00:00.000000','sysadm','192.0.2.7','Add','user.add','frozen','{"object": "a0715708-13b9-4e8d-8bd6-318ca3e25352", "project": "web"}','778212d0-1d1e-41ba-a6b8-956f89adb14e','{"uuid": "a0715708-13b9-4e8d-8bd6-318ca3e25352", "name": "frozen", "account": "frozen", "display_name": "", "role": "project", "project": "web", "phone": "", "email": "", "address": "", "description": "", "frozen": false, "created": "2026-01-31T12:00:00", "version": 0}');
INSERT INTO "operation_log" VALUES(16,'2026-01-31 12:00:00.000000','sysadm','192.0.2.7','Add','user.add','newcomer','{"object": "29758bee-50ee-4ea1-803e-749574f57755", "project": "web"}','5309c9eb-e7fe-4706-ac83-5fc57663f377','{"uuid": "29758bee-50ee-4ea1-803e-749574f57755", "name": "newcomer", "account": "newcomer", "display_name": "", "role": "project", "project": "web", "phone": "", "email": "", "address": "", "description": "", "frozen": false, "created": "2026-01-31T12:00:00", "version": 0}');
INSERT INTO "operation_log" VALUES(17,'2026-01-31 12:00:00.000000','sysadm','192.0.2.7','Freeze','user.freeze','frozen','{"object": "a0715708-13b9-4e8d-8bd6-318ca3e25352", "version": 1, "changes": {"frozen": [false, true]}}','508ddabd-76bd-4478-8a60-5c8089f9cd2d','{"uuid": "a0715708-13b9-4e8d-8bd6-318ca3e25352", "name": "frozen", "account": "frozen", "display_name": "", "role": "project", "project": "web", "phone": "", "email": "", "address": "", "description": "", "frozen": true, "created": "2026-01-31T12:00:00", "version": 1}');
CREATE TABLE pool (
	id INTEGER NOT NULL, 
	uuid VARCHAR(36) NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	capacity BIGINT NOT NULL, 
	path VARCHAR(1024) NOT NULL, 
	host_id INTEGER, 
	vendor VARCHAR(64) NOT NULL, 
	product VARCHAR(64) NOT NULL, 
	description TEXT NOT NULL, 
	error TEXT NOT NULL, 
	charges BIGINT NOT NULL, 
	created DATETIME NOT NULL, 
	version INTEGER NOT NULL, 
	CONSTRAINT pk_pool PRIMARY KEY (id), 
	CONSTRAINT uq_pool_uuid UNIQUE (uuid), 
	CONSTRAINT uq_pool_name UNIQUE (name), 
	CONSTRAINT fk_pool_host_id FOREIGN KEY(host_id) REFERENCES host (id)
);
INSERT INTO "pool" VALUES(1,'e7513c87-d26d-49bf-b2d3-793f9d482772','web-pool','dir',1000000000000,'/srv/web',1,'','','','',0,'2026-11-25 13:07:47.737586',0);
INSERT INTO "pool" VALUES(2,'b84a1bbb-f415-4fa2-867f-c6da4c02607c','shop-pool','dir',1000000000000,'/srv/shop',2,'','','','',0,'2026-11-25 13:07:47.808410',0);
CREATE TABLE pool_of_project (
	pool_id INTEGER NOT NULL, 
	project_id INTEGER NOT NULL, 
	CONSTRAINT pk_pool_of_project PRIMARY KEY (pool_id, project_id), 
	CONSTRAINT fk_pool_of_project_pool_id FOREIGN KEY(pool_id) REFERENCES pool (id) ON DELETE CASCADE, 
	CONSTRAINT fk_pool_of_project_project_id FOREIGN KEY(project_id) REFERENCES project (id) ON DELETE CASCADE
);
INSERT INTO "pool_of_project" VALUES(1,1);
INSERT INTO "pool_of_project" VALUES(2,2);
CREATE TABLE project (
	id INTEGER NOT NULL, 
	uuid VARCHAR(36) NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	description TEXT NOT NULL, 
	active BOOLEAN NOT NULL, 
	max_instances INTEGER NOT NULL, 
	max_vcpus INTEGER NOT NULL, 
	max_memory BIGINT NOT NULL, 
	max_disk BIGINT NOT NULL, 
	max_images INTEGER NOT NULL, 
	max_image_bytes BIGINT NOT NULL, 
	max_snapshots INTEGER NOT NULL, 
	charges BIGINT NOT NULL, 
	created DATETIME NOT NULL, 
	version INTEGER NOT NULL, 
	CONSTRAINT pk_project PRIMARY KEY (id), 
	CONSTRAINT uq_project_uuid UNIQUE (uuid), 
	CONSTRAINT uq_project_name UNIQUE (name)
);
INSERT INTO "project" VALUES(1,'8a63aa6a-4534-4e9b-8905-4f8777666428','web','网站 [red]x''; DROP
"two" lines, 😀',1,100,100,107374182400,1073741824000,100,107374182400,100,0,'2026-01-31 12:00:00.000000',1);
INSERT INTO "project" VALUES(2,'90460be5-814e-4dce-befe-7227c3817caa','shop','',1,100,100,107374182400,1073741824000,100,107374182400,100,0,'2026-01-31 12:00:00.000000',1);
INSERT INTO "project" VALUES(3,'3555b5a7-a425-41d1-ae72-ca6af17b2e8e','closed','',0,100,100,107374182400,1073741824000,100,107374182400,100,0,'2026-01-31 12:00:00.000000',2);
CREATE TABLE project_group (
	id INTEGER NOT NULL, 
	uuid VARCHAR(36) NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	directory VARCHAR(1024) NOT NULL, 
	description TEXT NOT NULL, 
	created DATETIME NOT NULL, 
	version INTEGER NOT NULL, 
	CONSTRAINT pk_project_group PRIMARY KEY (id), 
	CONSTRAINT uq_project_group_uuid UNIQUE (uuid), 
	CONSTRAINT uq_project_group_name UNIQUE (name)
);
INSERT INTO "project_group" VALUES(1,'02148fe7-4f61-48a4-b7e2-2645486a4e4a','web-group','/srv/dosvm-test/web','','2026-01-31 12:00:00.000000',0);
INSERT INTO "project_group" VALUES(2,'721d9cf9-bd4d-4b81-87eb-14925ffeb1a6','shop-group','/srv/dosvm-test/shop','','2026-01-31 12:00:00.000000',0);
INSERT INTO "project_group" VALUES(3,'a7bec1a8-7061-4d7a-aa0c-fc9efd2d5413','closed-group','/srv/dosvm-test/closed','','2026-01-31 12:00:00.000000',0);
CREATE TABLE project_in_group (
	group_id INTEGER NOT NULL, 
	project_id INTEGER NOT NULL, 
	CONSTRAINT pk_project_in_group PRIMARY KEY (group_id, project_id), 
	CONSTRAINT fk_project_in_group_group_id FOREIGN KEY(group_id) REFERENCES project_group (id) ON DELETE CASCADE, 
	CONSTRAINT fk_project_in_group_project_id FOREIGN KEY(project_id) REFERENCES project (id) ON DELETE CASCADE
);
INSERT INTO "project_in_group" VALUES(1,1);
INSERT INTO "project_in_group" VALUES(2,2);
INSERT INTO "project_in_group" VALUES(3,3);
CREATE TABLE session (
	id INTEGER NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	user_id INTEGER NOT NULL, 
	address VARCHAR(64) NOT NULL, 
	created DATETIME NOT NULL, 
	used DATETIME NOT NULL, 
	CONSTRAINT pk_session PRIMARY KEY (id), 
	CONSTRAINT uq_session_digest UNIQUE (digest), 
	CONSTRAINT fk_session_user_id FOREIGN KEY(user_id) REFERENCES user (id) ON DELETE CASCADE
);
INSERT INTO "session" VALUES(1,'7e92c5d12cb44d01474072e00702e6c9a0d24e5e3c75487cbb15a166deeb9cc4',1,'192.0.2.7','2026-01-31 12:00:00.000000','2026-01-31 12:00:00.000000');
CREATE TABLE setting (
	"key" VARCHAR(64) NOT NULL, 
	value TEXT NOT NULL, 
	CONSTRAINT pk_setting PRIMARY KEY ("key")
);
INSERT INTO "setting" VALUES('schema','1');
CREATE TABLE task (
	id INTEGER NOT NULL, 
	uuid VARCHAR(36) NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	target VARCHAR(36) NOT NULL, 
	target_name VARCHAR(64) NOT NULL, 
	project_id INTEGER, 
	host_id INTEGER NOT NULL, 
	account VARCHAR(64) NOT NULL, 
	payload TEXT NOT NULL, 
	state VARCHAR(32) NOT NULL, 
	progress INTEGER NOT NULL, 
	claim VARCHAR(36) NOT NULL, 
	attempts INTEGER NOT NULL, 
	error TEXT NOT NULL, 
	origin VARCHAR(36) NOT NULL, 
	created DATETIME NOT NULL, 
	started DATETIME, 
	finished DATETIME, 
	CONSTRAINT pk_task PRIMARY KEY (id), 
	CONSTRAINT uq_task_uuid UNIQUE (uuid), 
	CONSTRAINT fk_task_host_id FOREIGN KEY(host_id) REFERENCES host (id)
);
INSERT INTO "task" VALUES(1,'f45b3c72-2dc4-49b0-9fcd-d92f0ce0875f','machine.start','8e88eb88-b251-40f2-87b7-af011175c739','web-vm',1,1,'x','{}','done',0,'',0,'','','2026-11-25 13:07:47.751927',NULL,NULL);
INSERT INTO "task" VALUES(2,'2b96212c-6d8e-4f8e-8599-d31ffc928ec6','machine.start','a6d9e807-b1ee-48a5-a6ba-26f66f857647','shop-vm',2,2,'x','{}','done',0,'',0,'','','2026-11-25 13:07:47.813875',NULL,NULL);
CREATE TABLE user (
	id INTEGER NOT NULL, 
	uuid VARCHAR(36) NOT NULL, 
	account VARCHAR(64) NOT NULL, 
	display_name VARCHAR(64) NOT NULL, 
	role VARCHAR(32) NOT NULL, 
	project_id INTEGER, 
	phone VARCHAR(64) NOT NULL, 
	email VARCHAR(255) NOT NULL, 
	address VARCHAR(255) NOT NULL, 
	description TEXT NOT NULL, 
	password_hash VARCHAR(255) NOT NULL, 
	must_change_password BOOLEAN NOT NULL, 
	frozen BOOLEAN NOT NULL, 
	created DATETIME NOT NULL, 
	version INTEGER NOT NULL, 
	CONSTRAINT pk_user PRIMARY KEY (id), 
	CONSTRAINT uq_user_uuid UNIQUE (uuid), 
	CONSTRAINT uq_user_account UNIQUE (account), 
	CONSTRAINT fk_user_project_id FOREIGN KEY(project_id) REFERENCES project (id)
);
INSERT INTO "user" VALUES(1,'3c36cad6-f98c-44c3-a377-2607ab2992ac','sysadm','','sysadm',NULL,'','','','','$argon2id$v=19$m=64,t=1,p=1$ggyqifzkhaPHVvdmsiglcA$oG94ISRYYfoxc+8PmOCsXSeXhMGRI3B/QhXk+hCQ86w',0,0,'2026-11-25 13:07:47.636516',0);
INSERT INTO "user" VALUES(2,'e20de5e5-bb90-4cb9-bd39-cbdc421b13d2','web-admin','','project',1,'','','','','$argon2id$v=19$m=64,t=1,p=1$ZtgIR8IrpCOREr8ox/aZug$9+jHbTq96m9CoAxant8hFeGbQowxKRphxO5L84Hxm6U',0,0,'2026-01-31 12:00:00.000000',0);
INSERT INTO "user" VALUES(3,'b4c85270-fa7f-4fdf-bff0-45fd144adba2','shop-admin','','project',2,'','','','','$argon2id$v=19$m=64,t=1,p=1$0ofBPRAKPHf5TvRC7NWU6Q$zLNcmtPEUtiIP2MdGFOKrWDyjl4rnQwED2ZKap2Vcp8',0,0,'2026-01-31 12:00:00.000000',0);
INSERT INTO "user" VALUES(4,'01d63dba-2a8f-408b-9c1b-ae71e4baa24d','idle','','project',3,'','','','','$argon2id$v=19$m=64,t=1,p=1$tjVldJ6zhaVyG6fwk4ahHA$/zdMSZ0Qq5YqAzkWHqWf5yURjmhaIg4XOMbbwpPZHyo',0,0,'2026-01-31 12:00:00.000000',0);
INSERT INTO "user" VALUES(5,'7b33d5ca-55f6-4e7a-b2d8-159d6723055d','homeless','','project',NULL,'','','','','$argon2id$v=19$m=64,t=1,p=1$+puMSH8pNYFmx80wwrTmqw$rOnzJ9FsirRxXbLB32aaRVpFizN7u6qev5BKctal21o',0,0,'2026-01-31 12:00:00.000000',0);
INSERT INTO "user" VALUES(6,'a0715708-13b9-4e8d-8bd6-318ca3e25352','frozen','','project',1,'','','','','$argon2id$v=19$m=64,t=1,p=1$TZ2b4gQJYd86xKV98dHJ+Q$SxHOM45zMVU0rVox4XP0PuGbc+M55FkT2ZSTNa5EXOg',0,1,'2026-01-31 12:00:00.000000',1);
INSERT INTO "user" VALUES(7,'29758bee-50ee-4ea1-803e-749574f57755','newcomer','','project',1,'','','','','$argon2id$v=19$m=64,t=1,p=1$X9Lmw0z91FzXeRz2nEX80g$8tVr5eZTHri30tyDKv0Klx1QZB5XNWsLMGNhqagUgnc',1,0,'2026-01-31 12:00:00.000000',0);
CREATE TABLE volume (
	id INTEGER NOT NULL, 
	uuid VARCHAR(36) NOT NULL, 
	pool_id INTEGER NOT NULL, 
	project_id INTEGER, 
	name VARCHAR(64) NOT NULL, 
	display_name VARCHAR(64) NOT NULL, 
	format VARCHAR(32) NOT NULL, 
	capacity BIGINT NOT NULL, 
	allocation BIGINT NOT NULL, 
	options TEXT NOT NULL, 
	state VARCHAR(32) NOT NULL, 
	created DATETIME NOT NULL, 
	version INTEGER NOT NULL, 
	CONSTRAINT pk_volume PRIMARY KEY (id), 
	CONSTRAINT uq_volume_pool_id UNIQUE (pool_id, name), 
	CONSTRAINT uq_volume_uuid UNIQUE (uuid), 
	CONSTRAINT fk_volume_pool_id FOREIGN KEY(pool_id) REFERENCES pool (id), 
	CONSTRAINT fk_volume_project_id FOREIGN KEY(project_id) REFERENCES project (id)
);
INSERT INTO "volume" VALUES(1,'89b88040-d09f-4541-994c-bf4e98ded0be',1,1,'web-disk','','qcow2',1048576,0,'','present','2026-11-25 13:07:47.743590',0);
INSERT INTO "volume" VALUES(2,'4e93e4cf-0b25-4e0c-aa3d-8eaf22fe1689',2,2,'shop-disk','','qcow2',1048576,0,'','present','2026-11-25 13:07:47.811489',0);
CREATE INDEX ix_login_log_account_at ON login_log (account, at);
CREATE INDEX ix_login_log_address_at ON login_log (address, at);
CREATE INDEX ix_login_log_at ON login_log (at);
CREATE INDEX ix_operation_log_at ON operation_log (at);
CREATE INDEX ix_operation_log_account ON operation_log (account);
CREATE INDEX ix_project_in_group_project_id ON project_in_group (project_id);
CREATE INDEX ix_host_in_group_host_id ON host_in_group (host_id);
CREATE INDEX ix_host_group_of_project_project_id ON host_group_of_project (project_id);
CREATE INDEX ix_host_sample_host_at ON host_sample (host_id, at);
CREATE INDEX ix_pool_host_id ON pool (host_id);
CREATE INDEX ix_image_name ON image (name);
CREATE INDEX ix_image_project_id ON image (project_id);
CREATE INDEX ix_instance_host_group_id ON instance (host_group_id);
CREATE INDEX ix_instance_host_id ON instance (host_id);
CREATE INDEX ix_user_project_id ON user (project_id);
CREATE INDEX ix_task_host_state ON task (host_id, state);
CREATE INDEX ix_task_target ON task (target, state);
CREATE INDEX ix_task_project_id ON task (project_id);
CREATE INDEX ix_task_created ON task (created);
CREATE INDEX ix_pool_of_project_project_id ON pool_of_project (project_id);
CREATE INDEX ix_volume_project_id ON volume (project_id);
CREATE INDEX ix_instance_image_image_id ON instance_image (image_id);
CREATE INDEX ix_machine_power_name ON machine (power DESC, name, id);
CREATE INDEX ix_machine_project_power_name ON machine (project_id, power DESC, name, id);
CREATE INDEX ix_machine_instance_id ON machine (instance_id);
CREATE INDEX ix_machine_host_power ON machine (host_id, power);
CREATE INDEX ix_machine_name ON machine (name);
CREATE INDEX ix_session_user_id ON session (user_id);
CREATE INDEX ix_instance_volume_volume_id ON instance_volume (volume_id);
COMMIT;
