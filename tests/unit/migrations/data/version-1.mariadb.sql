-- A cloud of version 1 (commit 71d6f19) with one of everything; MariaDB. Frozen.
CREATE TABLE `host` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `uuid` varchar(36) NOT NULL,
  `name` varchar(64) NOT NULL,
  `address` varchar(64) NOT NULL,
  `port` int(11) NOT NULL,
  `boot` varchar(36) NOT NULL,
  `heartbeat` bigint(20) NOT NULL,
  `cpu_model` varchar(255) NOT NULL,
  `cores` int(11) NOT NULL,
  `memory` bigint(20) NOT NULL,
  `max_vcpus` int(11) NOT NULL,
  `max_memory` bigint(20) NOT NULL,
  `architecture` varchar(32) NOT NULL,
  `accelerator` varchar(32) NOT NULL,
  `accelerator_reason` varchar(255) NOT NULL,
  `libvirt_version` varchar(32) NOT NULL,
  `qemu_version` varchar(32) NOT NULL,
  `kernel` varchar(64) NOT NULL,
  `hypervisor_error` longtext NOT NULL,
  `cpu_percent` double NOT NULL,
  `memory_percent` double NOT NULL,
  `disk_percent` double NOT NULL,
  `network_rate` double NOT NULL,
  `charges` bigint(20) NOT NULL,
  `created` datetime(6) NOT NULL,
  `version` int(11) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_host_uuid` (`uuid`),
  UNIQUE KEY `uq_host_name` (`name`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `host` VALUES (1,'2bc8dd5f-12f3-490f-b3d5-59cda92307ff','web-host','192.0.2.1',5555,'',0,'',16,68719476736,64,68182605824,'x86_64','tcg','','','','','',0.0e0,0.0e0,0.0e0,0.0e0,0,'2026-11-25 13:07:52.510854',0);
INSERT INTO `host` VALUES (2,'da7aa41e-916c-4c10-b5f4-0cdb6477b99c','shop-host','192.0.2.1',5555,'',0,'',16,68719476736,64,68182605824,'x86_64','tcg','','','','','',0.0e0,0.0e0,0.0e0,0.0e0,0,'2026-11-25 13:07:52.651459',0);
CREATE TABLE `host_group` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `uuid` varchar(36) NOT NULL,
  `name` varchar(64) NOT NULL,
  `description` longtext NOT NULL,
  `created` datetime(6) NOT NULL,
  `version` int(11) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_host_group_uuid` (`uuid`),
  UNIQUE KEY `uq_host_group_name` (`name`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `host_group` VALUES (1,'56e8f27e-ec3d-4c42-bcb2-74d53717d0cd','web-hosts','','2026-11-25 13:07:52.516349',0);
INSERT INTO `host_group` VALUES (2,'aece443c-4f20-4c28-a809-f1de27f8f75d','shop-hosts','','2026-11-25 13:07:52.654731',0);
CREATE TABLE `login_log` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `at` datetime(6) NOT NULL,
  `account` varchar(64) NOT NULL,
  `address` varchar(64) NOT NULL,
  `outcome` varchar(32) NOT NULL,
  PRIMARY KEY (`id`),
  KEY `ix_login_log_account_at` (`account`,`at`),
  KEY `ix_login_log_address_at` (`address`,`at`),
  KEY `ix_login_log_at` (`at`)
) ENGINE=InnoDB AUTO_INCREMENT=2 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `login_log` VALUES (1,'2026-01-31 12:00:00','sysadm','192.0.2.7','right');
CREATE TABLE `operation_log` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `at` datetime(6) NOT NULL,
  `account` varchar(64) NOT NULL,
  `address` varchar(64) NOT NULL,
  `action` varchar(32) NOT NULL,
  `operation` varchar(64) NOT NULL,
  `target` varchar(255) NOT NULL,
  `detail` longtext NOT NULL,
  `request` varchar(36) NOT NULL,
  `result` longtext NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_operation_log_request` (`request`),
  KEY `ix_operation_log_at` (`at`),
  KEY `ix_operation_log_account` (`account`)
) ENGINE=InnoDB AUTO_INCREMENT=18 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `operation_log` VALUES (1,'2026-01-31 12:00:00','sysadm','192.0.2.7','Add','project-group.add','web-group','{\"object\": \"724858a1-df16-4805-b1da-ccfeddca3afc\", \"directory\": \"/srv/dosvm-test/web\"}','9b90b31c-39dd-49f5-8386-9495a911ae31','{\"uuid\": \"724858a1-df16-4805-b1da-ccfeddca3afc\", \"name\": \"web-group\", \"directory\": \"/srv/dosvm-test/web\", \"description\": \"\", \"projects\": [], \"created\": \"2026-01-31T12:00:00\", \"version\": 0}');
INSERT INTO `operation_log` VALUES (2,'2026-01-31 12:00:00','sysadm','192.0.2.7','Add','project.add','web','{\"object\": \"2eca7edb-7642-48b8-9751-b291950ae89a\", \"group\": \"web-group\"}','b98101fa-93b3-4fd0-a723-36f2240d7807','{\"uuid\": \"2eca7edb-7642-48b8-9751-b291950ae89a\", \"name\": \"web\", \"description\": \"\", \"active\": true, \"state\": \"active\", \"groups\": [\"web-group\"], \"admins\": [], \"pools\": [], \"host_groups\": [], \"max_instances\": 0, \"max_vcpus\": 0, \"max_memory\": 0, \"max_disk\": 0, \"max_images\": 0, \"max_image_bytes\": 0, \"max_snapshots\": 0, \"created\": \"2026-01-31T12:00:00\", \"version\": 0}');
INSERT INTO `operation_log` VALUES (3,'2026-01-31 12:00:00','sysadm','192.0.2.7','Configure','project.configure','web','{\"object\": \"2eca7edb-7642-48b8-9751-b291950ae89a\", \"version\": 1, \"changes\": {\"max_instances\": [0, 100], \"max_vcpus\": [0, 100], \"max_memory\": [0, 107374182400], \"max_disk\": [0, 1073741824000], \"max_images\": [0, 100], \"max_image_bytes\": [0, 107374182400], \"max_snapshots\": [0, 100]}}','9fafd89c-c9de-4e3b-97f8-7c87e0e01cda','{\"uuid\": \"2eca7edb-7642-48b8-9751-b291950ae89a\", \"name\": \"web\", \"description\": \"\", \"active\": true, \"state\": \"active\", \"groups\": [\"web-group\"], \"admins\": [], \"pools\": [], \"host_groups\": [], \"max_instances\": 100, \"max_vcpus\": 100, \"max_memory\": 107374182400, \"max_disk\": 1073741824000, \"max_images\": 100, \"max_image_bytes\": 107374182400, \"max_snapshots\": 100, \"created\": \"2026-01-31T12:00:00\", \"version\": 1}');
INSERT INTO `operation_log` VALUES (4,'2026-01-31 12:00:00','sysadm','192.0.2.7','Add','user.add','web-admin','{\"object\": \"3e7cfd7b-b777-4c2b-8608-a04c754caac1\", \"project\": \"web\"}','86f04888-ef2c-4c5e-a6f1-19a663925215','{\"uuid\": \"3e7cfd7b-b777-4c2b-8608-a04c754caac1\", \"name\": \"web-admin\", \"account\": \"web-admin\", \"display_name\": \"\", \"role\": \"project\", \"project\": \"web\", \"phone\": \"\", \"email\": \"\", \"address\": \"\", \"description\": \"\", \"frozen\": false, \"created\": \"2026-01-31T12:00:00\", \"version\": 0}');
INSERT INTO `operation_log` VALUES (5,'2026-01-31 12:00:00','sysadm','192.0.2.7','Add','project-group.add','shop-group','{\"object\": \"1427425f-77db-4caa-9d34-4cf4cb8f4701\", \"directory\": \"/srv/dosvm-test/shop\"}','742af2f9-ebd2-4912-9c13-fcc02bf350ce','{\"uuid\": \"1427425f-77db-4caa-9d34-4cf4cb8f4701\", \"name\": \"shop-group\", \"directory\": \"/srv/dosvm-test/shop\", \"description\": \"\", \"projects\": [], \"created\": \"2026-01-31T12:00:00\", \"version\": 0}');
INSERT INTO `operation_log` VALUES (6,'2026-01-31 12:00:00','sysadm','192.0.2.7','Add','project.add','shop','{\"object\": \"898e56f7-5432-44b5-96e8-a555b1214da3\", \"group\": \"shop-group\"}','bafeeeac-0cf8-448c-be17-7913547fdd4e','{\"uuid\": \"898e56f7-5432-44b5-96e8-a555b1214da3\", \"name\": \"shop\", \"description\": \"\", \"active\": true, \"state\": \"active\", \"groups\": [\"shop-group\"], \"admins\": [], \"pools\": [], \"host_groups\": [], \"max_instances\": 0, \"max_vcpus\": 0, \"max_memory\": 0, \"max_disk\": 0, \"max_images\": 0, \"max_image_bytes\": 0, \"max_snapshots\": 0, \"created\": \"2026-01-31T12:00:00\", \"version\": 0}');
INSERT INTO `operation_log` VALUES (7,'2026-01-31 12:00:00','sysadm','192.0.2.7','Configure','project.configure','shop','{\"object\": \"898e56f7-5432-44b5-96e8-a555b1214da3\", \"version\": 1, \"changes\": {\"max_instances\": [0, 100], \"max_vcpus\": [0, 100], \"max_memory\": [0, 107374182400], \"max_disk\": [0, 1073741824000], \"max_images\": [0, 100], \"max_image_bytes\": [0, 107374182400], \"max_snapshots\": [0, 100]}}','ecd36295-b5ff-4342-883f-a43a68063f2c','{\"uuid\": \"898e56f7-5432-44b5-96e8-a555b1214da3\", \"name\": \"shop\", \"description\": \"\", \"active\": true, \"state\": \"active\", \"groups\": [\"shop-group\"], \"admins\": [], \"pools\": [], \"host_groups\": [], \"max_instances\": 100, \"max_vcpus\": 100, \"max_memory\": 107374182400, \"max_disk\": 1073741824000, \"max_images\": 100, \"max_image_bytes\": 107374182400, \"max_snapshots\": 100, \"created\": \"2026-01-31T12:00:00\", \"version\": 1}');
INSERT INTO `operation_log` VALUES (8,'2026-01-31 12:00:00','sysadm','192.0.2.7','Add','user.add','shop-admin','{\"object\": \"816046f0-d24b-4269-9358-3bd36f23a0d5\", \"project\": \"shop\"}','92934f86-f44f-4566-b5a6-69fc28b4f97e','{\"uuid\": \"816046f0-d24b-4269-9358-3bd36f23a0d5\", \"name\": \"shop-admin\", \"account\": \"shop-admin\", \"display_name\": \"\", \"role\": \"project\", \"project\": \"shop\", \"phone\": \"\", \"email\": \"\", \"address\": \"\", \"description\": \"\", \"frozen\": false, \"created\": \"2026-01-31T12:00:00\", \"version\": 0}');
INSERT INTO `operation_log` VALUES (9,'2026-01-31 12:00:00','sysadm','192.0.2.7','Add','project-group.add','closed-group','{\"object\": \"83dfa331-eb63-4027-b748-a728c909ca3a\", \"directory\": \"/srv/dosvm-test/closed\"}','e418f987-2c4d-49d5-ae6e-f56196b11b60','{\"uuid\": \"83dfa331-eb63-4027-b748-a728c909ca3a\", \"name\": \"closed-group\", \"directory\": \"/srv/dosvm-test/closed\", \"description\": \"\", \"projects\": [], \"created\": \"2026-01-31T12:00:00\", \"version\": 0}');
INSERT INTO `operation_log` VALUES (10,'2026-01-31 12:00:00','sysadm','192.0.2.7','Add','project.add','closed','{\"object\": \"d68ab919-26f5-4674-9245-d5c7dccee25e\", \"group\": \"closed-group\"}','9af3bf55-97d6-465b-a3cd-41ca8b1be238','{\"uuid\": \"d68ab919-26f5-4674-9245-d5c7dccee25e\", \"name\": \"closed\", \"description\": \"\", \"active\": true, \"state\": \"active\", \"groups\": [\"closed-group\"], \"admins\": [], \"pools\": [], \"host_groups\": [], \"max_instances\": 0, \"max_vcpus\": 0, \"max_memory\": 0, \"max_disk\": 0, \"max_images\": 0, \"max_image_bytes\": 0, \"max_snapshots\": 0, \"created\": \"2026-01-31T12:00:00\", \"version\": 0}');
INSERT INTO `operation_log` VALUES (11,'2026-01-31 12:00:00','sysadm','192.0.2.7','Configure','project.configure','closed','{\"object\": \"d68ab919-26f5-4674-9245-d5c7dccee25e\", \"version\": 1, \"changes\": {\"max_instances\": [0, 100], \"max_vcpus\": [0, 100], \"max_memory\": [0, 107374182400], \"max_disk\": [0, 1073741824000], \"max_images\": [0, 100], \"max_image_bytes\": [0, 107374182400], \"max_snapshots\": [0, 100]}}','1813898a-a1c8-4688-ad2f-fb5dd3e2e357','{\"uuid\": \"d68ab919-26f5-4674-9245-d5c7dccee25e\", \"name\": \"closed\", \"description\": \"\", \"active\": true, \"state\": \"active\", \"groups\": [\"closed-group\"], \"admins\": [], \"pools\": [], \"host_groups\": [], \"max_instances\": 100, \"max_vcpus\": 100, \"max_memory\": 107374182400, \"max_disk\": 1073741824000, \"max_images\": 100, \"max_image_bytes\": 107374182400, \"max_snapshots\": 100, \"created\": \"2026-01-31T12:00:00\", \"version\": 1}');
INSERT INTO `operation_log` VALUES (12,'2026-01-31 12:00:00','sysadm','192.0.2.7','Add','user.add','idle','{\"object\": \"84d17e39-64b7-45a7-8730-ce59467a573e\", \"project\": \"closed\"}','9f19edf9-b470-4099-93a4-d8a0f9405f4c','{\"uuid\": \"84d17e39-64b7-45a7-8730-ce59467a573e\", \"name\": \"idle\", \"account\": \"idle\", \"display_name\": \"\", \"role\": \"project\", \"project\": \"closed\", \"phone\": \"\", \"email\": \"\", \"address\": \"\", \"description\": \"\", \"frozen\": false, \"created\": \"2026-01-31T12:00:00\", \"version\": 0}');
INSERT INTO `operation_log` VALUES (13,'2026-01-31 12:00:00','sysadm','192.0.2.7','Deactivate','project.deactivate','closed','{\"object\": \"d68ab919-26f5-4674-9245-d5c7dccee25e\", \"version\": 2, \"changes\": {\"active\": [true, false]}}','d82ac850-8e37-40ca-9746-952369f99680','{\"uuid\": \"d68ab919-26f5-4674-9245-d5c7dccee25e\", \"name\": \"closed\", \"description\": \"\", \"active\": false, \"state\": \"inactive\", \"groups\": [\"closed-group\"], \"admins\": [\"idle\"], \"pools\": [], \"host_groups\": [], \"max_instances\": 100, \"max_vcpus\": 100, \"max_memory\": 107374182400, \"max_disk\": 1073741824000, \"max_images\": 100, \"max_image_bytes\": 107374182400, \"max_snapshots\": 100, \"created\": \"2026-01-31T12:00:00\", \"version\": 2}');
INSERT INTO `operation_log` VALUES (14,'2026-01-31 12:00:00','sysadm','192.0.2.7','Add','user.add','homeless','{\"object\": \"740b1b19-b316-4cba-a4bb-d3f22945b679\", \"project\": \"\"}','7e9fb351-a5f6-4226-be2e-f4a78746c904','{\"uuid\": \"740b1b19-b316-4cba-a4bb-d3f22945b679\", \"name\": \"homeless\", \"account\": \"homeless\", \"display_name\": \"\", \"role\": \"project\", \"project\": \"\", \"phone\": \"\", \"email\": \"\", \"address\": \"\", \"description\": \"\", \"frozen\": false, \"created\": \"2026-01-31T12:00:00\", \"version\": 0}');
INSERT INTO `operation_log` VALUES (15,'2026-01-31 12:00:00','sysadm','192.0.2.7','Add','user.add','frozen','{\"object\": \"93fecdac-e68b-4328-94c1-99a093b9b70c\", \"project\": \"web\"}','bf4687e5-cccb-41db-bb56-e76f47ac183c','{\"uuid\": \"93fecdac-e68b-4328-94c1-99a093b9b70c\", \"name\": \"frozen\", \"account\": \"frozen\", \"display_name\": \"\", \"role\": \"project\", \"project\": \"web\", \"phone\": \"\", \"email\": \"\", \"address\": \"\", \"description\": \"\", \"frozen\": false, \"created\": \"2026-01-31T12:00:00\", \"version\": 0}');
INSERT INTO `operation_log` VALUES (16,'2026-01-31 12:00:00','sysadm','192.0.2.7','Add','user.add','newcomer','{\"object\": \"f79ed554-ab60-46f0-aa0c-9bf49c4ae355\", \"project\": \"web\"}','da333caf-f7ed-4fd6-8347-c26050aee773','{\"uuid\": \"f79ed554-ab60-46f0-aa0c-9bf49c4ae355\", \"name\": \"newcomer\", \"account\": \"newcomer\", \"display_name\": \"\", \"role\": \"project\", \"project\": \"web\", \"phone\": \"\", \"email\": \"\", \"address\": \"\", \"description\": \"\", \"frozen\": false, \"created\": \"2026-01-31T12:00:00\", \"version\": 0}');
INSERT INTO `operation_log` VALUES (17,'2026-01-31 12:00:00','sysadm','192.0.2.7','Freeze','user.freeze','frozen','{\"object\": \"93fecdac-e68b-4328-94c1-99a093b9b70c\", \"version\": 1, \"changes\": {\"frozen\": [false, true]}}','cd52e8b0-3795-48fd-afac-7a344e6ed76a','{\"uuid\": \"93fecdac-e68b-4328-94c1-99a093b9b70c\", \"name\": \"frozen\", \"account\": \"frozen\", \"display_name\": \"\", \"role\": \"project\", \"project\": \"web\", \"phone\": \"\", \"email\": \"\", \"address\": \"\", \"description\": \"\", \"frozen\": true, \"created\": \"2026-01-31T12:00:00\", \"version\": 1}');
CREATE TABLE `project` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `uuid` varchar(36) NOT NULL,
  `name` varchar(64) NOT NULL,
  `description` longtext NOT NULL,
  `active` tinyint(1) NOT NULL,
  `max_instances` int(11) NOT NULL,
  `max_vcpus` int(11) NOT NULL,
  `max_memory` bigint(20) NOT NULL,
  `max_disk` bigint(20) NOT NULL,
  `max_images` int(11) NOT NULL,
  `max_image_bytes` bigint(20) NOT NULL,
  `max_snapshots` int(11) NOT NULL,
  `charges` bigint(20) NOT NULL,
  `created` datetime(6) NOT NULL,
  `version` int(11) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_project_uuid` (`uuid`),
  UNIQUE KEY `uq_project_name` (`name`)
) ENGINE=InnoDB AUTO_INCREMENT=4 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `project` VALUES (1,'2eca7edb-7642-48b8-9751-b291950ae89a','web','网站 [red]x\'; DROP\n\"two\" lines, 😀',1,100,100,107374182400,1073741824000,100,107374182400,100,1,'2026-01-31 12:00:00',1);
INSERT INTO `project` VALUES (2,'898e56f7-5432-44b5-96e8-a555b1214da3','shop','',1,100,100,107374182400,1073741824000,100,107374182400,100,1,'2026-01-31 12:00:00',1);
INSERT INTO `project` VALUES (3,'d68ab919-26f5-4674-9245-d5c7dccee25e','closed','',0,100,100,107374182400,1073741824000,100,107374182400,100,1,'2026-01-31 12:00:00',2);
CREATE TABLE `project_group` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `uuid` varchar(36) NOT NULL,
  `name` varchar(64) NOT NULL,
  `directory` varchar(1024) NOT NULL,
  `description` longtext NOT NULL,
  `created` datetime(6) NOT NULL,
  `version` int(11) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_project_group_uuid` (`uuid`),
  UNIQUE KEY `uq_project_group_name` (`name`)
) ENGINE=InnoDB AUTO_INCREMENT=4 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `project_group` VALUES (1,'724858a1-df16-4805-b1da-ccfeddca3afc','web-group','/srv/dosvm-test/web','','2026-01-31 12:00:00',0);
INSERT INTO `project_group` VALUES (2,'1427425f-77db-4caa-9d34-4cf4cb8f4701','shop-group','/srv/dosvm-test/shop','','2026-01-31 12:00:00',0);
INSERT INTO `project_group` VALUES (3,'83dfa331-eb63-4027-b748-a728c909ca3a','closed-group','/srv/dosvm-test/closed','','2026-01-31 12:00:00',0);
CREATE TABLE `setting` (
  `key` varchar(64) NOT NULL,
  `value` longtext NOT NULL,
  PRIMARY KEY (`key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `setting` VALUES ('schema','1');
CREATE TABLE `host_group_of_project` (
  `group_id` bigint(20) NOT NULL,
  `project_id` bigint(20) NOT NULL,
  PRIMARY KEY (`group_id`,`project_id`),
  KEY `ix_host_group_of_project_project_id` (`project_id`),
  CONSTRAINT `fk_host_group_of_project_group_id` FOREIGN KEY (`group_id`) REFERENCES `host_group` (`id`) ON DELETE CASCADE,
  CONSTRAINT `fk_host_group_of_project_project_id` FOREIGN KEY (`project_id`) REFERENCES `project` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `host_group_of_project` VALUES (1,1);
INSERT INTO `host_group_of_project` VALUES (2,2);
CREATE TABLE `host_in_group` (
  `group_id` bigint(20) NOT NULL,
  `host_id` bigint(20) NOT NULL,
  PRIMARY KEY (`group_id`,`host_id`),
  KEY `ix_host_in_group_host_id` (`host_id`),
  CONSTRAINT `fk_host_in_group_group_id` FOREIGN KEY (`group_id`) REFERENCES `host_group` (`id`) ON DELETE CASCADE,
  CONSTRAINT `fk_host_in_group_host_id` FOREIGN KEY (`host_id`) REFERENCES `host` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `host_in_group` VALUES (1,1);
INSERT INTO `host_in_group` VALUES (2,2);
CREATE TABLE `host_sample` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `host_id` bigint(20) NOT NULL,
  `at` datetime(6) NOT NULL,
  `cpu_percent` double NOT NULL,
  `memory_percent` double NOT NULL,
  `disk_percent` double NOT NULL,
  `network_rate` double NOT NULL,
  PRIMARY KEY (`id`),
  KEY `ix_host_sample_host_at` (`host_id`,`at`),
  CONSTRAINT `fk_host_sample_host_id` FOREIGN KEY (`host_id`) REFERENCES `host` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB AUTO_INCREMENT=4 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `host_sample` VALUES (1,1,'2026-11-25 12:00:00.123456',0.0e0,40.0e0,7.25e0,1000000.0e0);
INSERT INTO `host_sample` VALUES (2,1,'2026-11-25 12:01:00.123456',1.5e0,40.0e0,7.25e0,1000000.0e0);
INSERT INTO `host_sample` VALUES (3,1,'2026-11-25 12:02:00.123456',3.0e0,40.0e0,7.25e0,1000000.0e0);
CREATE TABLE `image` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `uuid` varchar(36) NOT NULL,
  `name` varchar(64) NOT NULL,
  `group_id` bigint(20) NOT NULL,
  `project_id` bigint(20) NOT NULL,
  `file` varchar(255) NOT NULL,
  `format` varchar(32) NOT NULL,
  `architecture` varchar(32) NOT NULL,
  `shared` tinyint(1) NOT NULL,
  `read_only` tinyint(1) NOT NULL,
  `size` bigint(20) NOT NULL,
  `virtual_size` bigint(20) NOT NULL,
  `state` varchar(32) NOT NULL,
  `description` longtext NOT NULL,
  `created` datetime(6) NOT NULL,
  `version` int(11) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_image_group_id` (`group_id`,`file`),
  UNIQUE KEY `uq_image_uuid` (`uuid`),
  KEY `ix_image_name` (`name`),
  KEY `ix_image_project_id` (`project_id`),
  CONSTRAINT `fk_image_group_id` FOREIGN KEY (`group_id`) REFERENCES `project_group` (`id`),
  CONSTRAINT `fk_image_project_id` FOREIGN KEY (`project_id`) REFERENCES `project` (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `image` VALUES (1,'2e164eb3-6449-43e9-974f-918f62acb0cc','web-image',1,1,'a.iso','iso','',0,1,0,0,'present','','2026-11-25 13:07:52.522163',0);
INSERT INTO `image` VALUES (2,'c9fc8734-2e56-4fcc-a94d-1635fb4c5166','shop-image',2,2,'a.iso','iso','',0,1,0,0,'present','','2026-11-25 13:07:52.657152',0);
CREATE TABLE `instance` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `uuid` varchar(36) NOT NULL,
  `project_id` bigint(20) NOT NULL,
  `name` varchar(64) NOT NULL,
  `display_name` varchar(64) NOT NULL,
  `spec` longtext NOT NULL,
  `vcpus` int(11) NOT NULL,
  `memory` bigint(20) NOT NULL,
  `unique` tinyint(1) NOT NULL,
  `enabled` tinyint(1) NOT NULL,
  `host_id` bigint(20) DEFAULT NULL,
  `host_group_id` bigint(20) DEFAULT NULL,
  `created` datetime(6) NOT NULL,
  `version` int(11) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_instance_project_id` (`project_id`,`name`),
  UNIQUE KEY `uq_instance_uuid` (`uuid`),
  KEY `ix_instance_host_group_id` (`host_group_id`),
  KEY `ix_instance_host_id` (`host_id`),
  CONSTRAINT `fk_instance_host_group_id` FOREIGN KEY (`host_group_id`) REFERENCES `host_group` (`id`),
  CONSTRAINT `fk_instance_host_id` FOREIGN KEY (`host_id`) REFERENCES `host` (`id`),
  CONSTRAINT `fk_instance_project_id` FOREIGN KEY (`project_id`) REFERENCES `project` (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `instance` VALUES (1,'8c79f1bd-1a4e-4bc9-8e1b-9bad24209383',1,'web-instance','','{\"vcpus\":1,\"memory\":67108864,\"architecture\":\"x86_64\",\"accelerator\":\"auto\",\"machine\":\"pc\",\"boot\":[\"hd\",\"cdrom\"],\"boot_menu\":false,\"boot_menu_timeout\":3000,\"bios_serial\":false,\"reboot_timeout\":-1,\"tablet\":true,\"disks\":[{\"device\":\"disk\",\"volume\":\"6044112b-6801-4168-a9dc-2dab5738579f\",\"image\":\"\",\"bus\":\"\",\"target\":\"\",\"read_only\":false,\"cache\":\"default\",\"copy_on_read\":false,\"startup_policy\":\"mandatory\",\"tray\":\"closed\",\"removable\":false},{\"device\":\"cdrom\",\"volume\":\"\",\"image\":\"2e164eb3-6449-43e9-974f-918f62acb0cc\",\"bus\":\"\",\"target\":\"\",\"read_only\":false,\"cache\":\"default\",\"copy_on_read\":false,\"startup_policy\":\"mandatory\",\"tray\":\"closed\",\"removable\":false}],\"graphics\":[{\"type\":\"vnc\",\"port\":0,\"listen\":\"\",\"password\":\"\",\"password_valid_to\":\"\",\"keep_connected\":false,\"sharing\":\"allow-exclusive\",\"tls_port\":0,\"default_mode\":\"any\",\"channels\":[],\"image_compression\":\"\",\"jpeg\":\"\",\"zlib\":\"\",\"playback\":true,\"streaming\":\"\",\"file_transfer\":true}],\"host\":\"\",\"host_group\":\"\",\"tuning_xml\":\"\",\"devices_xml\":\"\"}',1,67108864,1,1,NULL,NULL,'2026-11-25 13:07:52.525894',0);
INSERT INTO `instance` VALUES (2,'bb4d784c-5a69-4c1a-88c9-55c43b3d4a61',2,'shop-instance','','{\"vcpus\":1,\"memory\":67108864,\"architecture\":\"x86_64\",\"accelerator\":\"auto\",\"machine\":\"pc\",\"boot\":[\"hd\",\"cdrom\"],\"boot_menu\":false,\"boot_menu_timeout\":3000,\"bios_serial\":false,\"reboot_timeout\":-1,\"tablet\":true,\"disks\":[{\"device\":\"disk\",\"volume\":\"0c53596a-fa10-41c9-b576-719b17b1f388\",\"image\":\"\",\"bus\":\"\",\"target\":\"\",\"read_only\":false,\"cache\":\"default\",\"copy_on_read\":false,\"startup_policy\":\"mandatory\",\"tray\":\"closed\",\"removable\":false},{\"device\":\"cdrom\",\"volume\":\"\",\"image\":\"c9fc8734-2e56-4fcc-a94d-1635fb4c5166\",\"bus\":\"\",\"target\":\"\",\"read_only\":false,\"cache\":\"default\",\"copy_on_read\":false,\"startup_policy\":\"mandatory\",\"tray\":\"closed\",\"removable\":false}],\"graphics\":[{\"type\":\"vnc\",\"port\":0,\"listen\":\"\",\"password\":\"\",\"password_valid_to\":\"\",\"keep_connected\":false,\"sharing\":\"allow-exclusive\",\"tls_port\":0,\"default_mode\":\"any\",\"channels\":[],\"image_compression\":\"\",\"jpeg\":\"\",\"zlib\":\"\",\"playback\":true,\"streaming\":\"\",\"file_transfer\":true}],\"host\":\"\",\"host_group\":\"\",\"tuning_xml\":\"\",\"devices_xml\":\"\"}',1,67108864,1,1,NULL,NULL,'2026-11-25 13:07:52.658544',0);
CREATE TABLE `pool` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `uuid` varchar(36) NOT NULL,
  `name` varchar(64) NOT NULL,
  `kind` varchar(32) NOT NULL,
  `capacity` bigint(20) NOT NULL,
  `path` varchar(1024) NOT NULL,
  `host_id` bigint(20) DEFAULT NULL,
  `vendor` varchar(64) NOT NULL,
  `product` varchar(64) NOT NULL,
  `description` longtext NOT NULL,
  `error` longtext NOT NULL,
  `charges` bigint(20) NOT NULL,
  `created` datetime(6) NOT NULL,
  `version` int(11) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_pool_uuid` (`uuid`),
  UNIQUE KEY `uq_pool_name` (`name`),
  KEY `ix_pool_host_id` (`host_id`),
  CONSTRAINT `fk_pool_host_id` FOREIGN KEY (`host_id`) REFERENCES `host` (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `pool` VALUES (1,'ba5337aa-9821-49b6-ade7-e8b1fcd383f3','web-pool','dir',1000000000000,'/srv/web',1,'','','','',0,'2026-11-25 13:07:52.517219',0);
INSERT INTO `pool` VALUES (2,'b4874a56-2ed7-4772-8323-76db3e219be8','shop-pool','dir',1000000000000,'/srv/shop',2,'','','','',0,'2026-11-25 13:07:52.655173',0);
CREATE TABLE `project_in_group` (
  `group_id` bigint(20) NOT NULL,
  `project_id` bigint(20) NOT NULL,
  PRIMARY KEY (`group_id`,`project_id`),
  KEY `ix_project_in_group_project_id` (`project_id`),
  CONSTRAINT `fk_project_in_group_group_id` FOREIGN KEY (`group_id`) REFERENCES `project_group` (`id`) ON DELETE CASCADE,
  CONSTRAINT `fk_project_in_group_project_id` FOREIGN KEY (`project_id`) REFERENCES `project` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `project_in_group` VALUES (1,1);
INSERT INTO `project_in_group` VALUES (2,2);
INSERT INTO `project_in_group` VALUES (3,3);
CREATE TABLE `task` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `uuid` varchar(36) NOT NULL,
  `kind` varchar(32) NOT NULL,
  `target` varchar(36) NOT NULL,
  `target_name` varchar(64) NOT NULL,
  `project_id` int(11) DEFAULT NULL,
  `host_id` bigint(20) NOT NULL,
  `account` varchar(64) NOT NULL,
  `payload` longtext NOT NULL,
  `state` varchar(32) NOT NULL,
  `progress` int(11) NOT NULL,
  `claim` varchar(36) NOT NULL,
  `attempts` int(11) NOT NULL,
  `error` longtext NOT NULL,
  `origin` varchar(36) NOT NULL,
  `created` datetime(6) NOT NULL,
  `started` datetime(6) DEFAULT NULL,
  `finished` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_task_uuid` (`uuid`),
  KEY `ix_task_host_state` (`host_id`,`state`),
  KEY `ix_task_target` (`target`,`state`),
  KEY `ix_task_project_id` (`project_id`),
  KEY `ix_task_created` (`created`),
  CONSTRAINT `fk_task_host_id` FOREIGN KEY (`host_id`) REFERENCES `host` (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `task` VALUES (1,'a8e90e62-7801-42da-954e-1ee7dbc41a6a','machine.start','177a79b3-ac89-4a2d-aa06-f32e12df8419','web-vm',1,1,'x','{}','done',0,'',0,'','','2026-11-25 13:07:52.533279',NULL,NULL);
INSERT INTO `task` VALUES (2,'8229a737-1b7d-475f-8b74-b964757775ff','machine.start','31328d70-cc02-4821-9a84-a1f262f89185','shop-vm',2,2,'x','{}','done',0,'',0,'','','2026-11-25 13:07:52.660838',NULL,NULL);
CREATE TABLE `user` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `uuid` varchar(36) NOT NULL,
  `account` varchar(64) NOT NULL,
  `display_name` varchar(64) NOT NULL,
  `role` varchar(32) NOT NULL,
  `project_id` bigint(20) DEFAULT NULL,
  `phone` varchar(64) NOT NULL,
  `email` varchar(255) NOT NULL,
  `address` varchar(255) NOT NULL,
  `description` longtext NOT NULL,
  `password_hash` varchar(255) NOT NULL,
  `must_change_password` tinyint(1) NOT NULL,
  `frozen` tinyint(1) NOT NULL,
  `created` datetime(6) NOT NULL,
  `version` int(11) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_user_uuid` (`uuid`),
  UNIQUE KEY `uq_user_account` (`account`),
  KEY `ix_user_project_id` (`project_id`),
  CONSTRAINT `fk_user_project_id` FOREIGN KEY (`project_id`) REFERENCES `project` (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=8 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `user` VALUES (1,'7e02f443-7d89-4761-8a9c-abc2fc9a0a53','sysadm','','sysadm',NULL,'','','','','$argon2id$v=19$m=64,t=1,p=1$fKVuF+LabIwleDkhuB2rZQ$iNrHFydWjFDV4SpWVDRQmr0p/Xwai86hUXUyraG1G4M',0,0,'2026-11-25 13:07:52.451972',0);
INSERT INTO `user` VALUES (2,'3e7cfd7b-b777-4c2b-8608-a04c754caac1','web-admin','','project',1,'','','','','$argon2id$v=19$m=64,t=1,p=1$hLd0wq7st31TSlfKhdNjCg$F9WUsO5MSPozsQw0NpDAuMN103tsnisvSTPdfBMv4hc',0,0,'2026-01-31 12:00:00',0);
INSERT INTO `user` VALUES (3,'816046f0-d24b-4269-9358-3bd36f23a0d5','shop-admin','','project',2,'','','','','$argon2id$v=19$m=64,t=1,p=1$idjRV0Px6h/CgsfIYiGICg$NroYZcSCCPTK8U7zzub3C4TQTZ/aDj24DyQ5aYyyI2c',0,0,'2026-01-31 12:00:00',0);
INSERT INTO `user` VALUES (4,'84d17e39-64b7-45a7-8730-ce59467a573e','idle','','project',3,'','','','','$argon2id$v=19$m=64,t=1,p=1$/SOdWWziiIbZkiSlaQPhkw$wgBvKhXSwR8VRP0BeSJw/JZ7ccKSBjh6I9RGc1HRyUU',0,0,'2026-01-31 12:00:00',0);
INSERT INTO `user` VALUES (5,'740b1b19-b316-4cba-a4bb-d3f22945b679','homeless','','project',NULL,'','','','','$argon2id$v=19$m=64,t=1,p=1$fMwVSj/IQzvgG0x4w3TarQ$EerjdUB2RaR6PDI3gnU7o1Dtc3D/lFZfTOoDXBTaG0s',0,0,'2026-01-31 12:00:00',0);
INSERT INTO `user` VALUES (6,'93fecdac-e68b-4328-94c1-99a093b9b70c','frozen','','project',1,'','','','','$argon2id$v=19$m=64,t=1,p=1$TYfOEuUzU0oPSTP3meCvmQ$49nTg192OvJckxZxUxTwzcbMElN4JXtyjWXF+8XlA5k',0,1,'2026-01-31 12:00:00',1);
INSERT INTO `user` VALUES (7,'f79ed554-ab60-46f0-aa0c-9bf49c4ae355','newcomer','','project',1,'','','','','$argon2id$v=19$m=64,t=1,p=1$xBdF5vzNpcjSp0fvRhbCTg$WzOzBUX7pK5G9mM6UbSY7KDiqpb3lJ9Yg2Pod8aWrdU',1,0,'2026-01-31 12:00:00',0);
CREATE TABLE `instance_image` (
  `instance_id` bigint(20) NOT NULL,
  `image_id` bigint(20) NOT NULL,
  PRIMARY KEY (`instance_id`,`image_id`),
  KEY `ix_instance_image_image_id` (`image_id`),
  CONSTRAINT `fk_instance_image_image_id` FOREIGN KEY (`image_id`) REFERENCES `image` (`id`),
  CONSTRAINT `fk_instance_image_instance_id` FOREIGN KEY (`instance_id`) REFERENCES `instance` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `instance_image` VALUES (1,1);
INSERT INTO `instance_image` VALUES (2,2);
CREATE TABLE `machine` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `uuid` varchar(36) NOT NULL,
  `name` varchar(64) NOT NULL,
  `project_id` bigint(20) NOT NULL,
  `instance_id` bigint(20) NOT NULL,
  `host_id` bigint(20) DEFAULT NULL,
  `power` varchar(32) NOT NULL,
  `state` varchar(32) NOT NULL,
  `epoch` int(11) NOT NULL,
  `accelerator` varchar(32) NOT NULL,
  `vnc_port` int(11) DEFAULT NULL,
  `spice_port` int(11) DEFAULT NULL,
  `screen_address` varchar(64) NOT NULL,
  `start_error` longtext NOT NULL,
  `started` datetime(6) DEFAULT NULL,
  `created` datetime(6) NOT NULL,
  `version` int(11) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_machine_project_id` (`project_id`,`name`),
  UNIQUE KEY `uq_machine_uuid` (`uuid`),
  KEY `ix_machine_power_name` (`power` DESC,`name`,`id`),
  KEY `ix_machine_project_power_name` (`project_id`,`power` DESC,`name`,`id`),
  KEY `ix_machine_instance_id` (`instance_id`),
  KEY `ix_machine_host_power` (`host_id`,`power`),
  KEY `ix_machine_name` (`name`),
  CONSTRAINT `fk_machine_host_id` FOREIGN KEY (`host_id`) REFERENCES `host` (`id`),
  CONSTRAINT `fk_machine_instance_id` FOREIGN KEY (`instance_id`) REFERENCES `instance` (`id`),
  CONSTRAINT `fk_machine_project_id` FOREIGN KEY (`project_id`) REFERENCES `project` (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `machine` VALUES (1,'177a79b3-ac89-4a2d-aa06-f32e12df8419','web-vm',1,1,NULL,'off','off',0,'',NULL,NULL,'','',NULL,'2026-11-25 13:07:52.528601',0);
INSERT INTO `machine` VALUES (2,'31328d70-cc02-4821-9a84-a1f262f89185','shop-vm',2,2,NULL,'off','off',0,'',NULL,NULL,'','',NULL,'2026-11-25 13:07:52.660175',0);
CREATE TABLE `pool_of_project` (
  `pool_id` bigint(20) NOT NULL,
  `project_id` bigint(20) NOT NULL,
  PRIMARY KEY (`pool_id`,`project_id`),
  KEY `ix_pool_of_project_project_id` (`project_id`),
  CONSTRAINT `fk_pool_of_project_pool_id` FOREIGN KEY (`pool_id`) REFERENCES `pool` (`id`) ON DELETE CASCADE,
  CONSTRAINT `fk_pool_of_project_project_id` FOREIGN KEY (`project_id`) REFERENCES `project` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `pool_of_project` VALUES (1,1);
INSERT INTO `pool_of_project` VALUES (2,2);
CREATE TABLE `session` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `digest` varchar(64) NOT NULL,
  `user_id` bigint(20) NOT NULL,
  `address` varchar(64) NOT NULL,
  `created` datetime(6) NOT NULL,
  `used` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_session_digest` (`digest`),
  KEY `ix_session_user_id` (`user_id`),
  CONSTRAINT `fk_session_user_id` FOREIGN KEY (`user_id`) REFERENCES `user` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB AUTO_INCREMENT=2 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `session` VALUES (1,'101660ddd187eba0204dbbc6d3c32b5fe9dad233f183d0fa1be88a821d826085',1,'192.0.2.7','2026-01-31 12:00:00','2026-01-31 12:00:00');
CREATE TABLE `volume` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `uuid` varchar(36) NOT NULL,
  `pool_id` bigint(20) NOT NULL,
  `project_id` bigint(20) DEFAULT NULL,
  `name` varchar(64) NOT NULL,
  `display_name` varchar(64) NOT NULL,
  `format` varchar(32) NOT NULL,
  `capacity` bigint(20) NOT NULL,
  `allocation` bigint(20) NOT NULL,
  `options` longtext NOT NULL,
  `state` varchar(32) NOT NULL,
  `created` datetime(6) NOT NULL,
  `version` int(11) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_volume_pool_id` (`pool_id`,`name`),
  UNIQUE KEY `uq_volume_uuid` (`uuid`),
  KEY `ix_volume_project_id` (`project_id`),
  CONSTRAINT `fk_volume_pool_id` FOREIGN KEY (`pool_id`) REFERENCES `pool` (`id`),
  CONSTRAINT `fk_volume_project_id` FOREIGN KEY (`project_id`) REFERENCES `project` (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `volume` VALUES (1,'6044112b-6801-4168-a9dc-2dab5738579f',1,1,'web-disk','','qcow2',1048576,0,'','present','2026-11-25 13:07:52.523657',0);
INSERT INTO `volume` VALUES (2,'0c53596a-fa10-41c9-b576-719b17b1f388',2,2,'shop-disk','','qcow2',1048576,0,'','present','2026-11-25 13:07:52.657600',0);
CREATE TABLE `instance_volume` (
  `instance_id` bigint(20) NOT NULL,
  `volume_id` bigint(20) NOT NULL,
  PRIMARY KEY (`instance_id`,`volume_id`),
  KEY `ix_instance_volume_volume_id` (`volume_id`),
  CONSTRAINT `fk_instance_volume_instance_id` FOREIGN KEY (`instance_id`) REFERENCES `instance` (`id`) ON DELETE CASCADE,
  CONSTRAINT `fk_instance_volume_volume_id` FOREIGN KEY (`volume_id`) REFERENCES `volume` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `instance_volume` VALUES (1,1);
INSERT INTO `instance_volume` VALUES (2,2);
